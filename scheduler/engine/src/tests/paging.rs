//! Lists are walked page by page: every row once, in order, whatever the page; and a change that is
//! conditional on what was seen.

use std::fmt::Debug;

use super::{TaskState, World, app_name, job_document, name, trigger};
use crate::command::{Command, Done, Refusal};
use crate::document::Fingerprint;
use crate::ids::AgentId;
use crate::query::Order;
use crate::query_tasks::TaskFilter;

/// Walks a list in pages of two, and compares with the list in one.
#[track_caller]
fn walk<T: Debug, K: PartialEq + Debug>(
    list: impl Fn(Option<&K>, usize) -> Vec<T>,
    key: impl Fn(&T) -> K,
) -> Vec<K> {
    let whole: Vec<K> = list(None, usize::MAX).iter().map(&key).collect();
    let mut seen = Vec::new();
    loop {
        let page = list(seen.last(), 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(&key));
        assert!(seen.len() <= whole.len(), "{seen:?} goes beyond {whole:?}");
    }
    assert_eq!(seen, whole);
    seen
}

#[test]
fn pages_of_jobs_join_to_the_list_from_either_end() {
    let mut world = World::with_app();
    for job in ["a", "b", "c", "d", "e"] {
        world.job(job, "");
    }
    let engine = &world.engine;
    let names = |order, app: Option<crate::ids::AppName>| {
        walk(|after, limit| engine.jobs(app.as_ref(), after, order, limit), |job| name(&job.name))
    };
    let ascending = names(Order::Ascending, None);
    assert_eq!(ascending.len(), 5);
    assert!(ascending.is_sorted());
    assert_eq!(names(Order::Ascending, Some(app_name())), ascending);
    let mut descending = names(Order::Descending, None);
    descending.reverse();
    assert_eq!(descending, ascending);
}

#[test]
fn pages_of_what_runs_join_to_the_list() {
    let mut world = World::with_app();
    world.subscribe();
    for job in ["a", "b"] {
        world.job(job, r#""shardingTotalCount":3,"failover":true"#);
        world.command(trigger(job, Some("k"))).unwrap();
    }
    for agent in ["S1", "S2", "S3", "S4", "S5", "S6", "S7"] {
        world.offer(agent, 2.0);
    }
    let engine = &world.engine;
    let tasks = walk(|after, limit| engine.running(after, limit), |row| row.task_id.clone());
    assert_eq!(tasks.len(), 6);
    let filter = TaskFilter::default();
    let same = walk(|after, limit| engine.tasks(&filter, after, limit), |task| task.id.clone());
    assert_eq!(same, tasks);
    let of_a = TaskFilter { job: Some(name("a")), ..TaskFilter::default() };
    let of_a = walk(|after, limit| engine.tasks(&of_a, after, limit), |task| task.id.clone());
    assert_eq!(of_a.len(), 3);
    assert_eq!(engine.task(&tasks[0]).map(|task| task.item), Some(0));
    let executors = walk(
        |after, limit| engine.executors(None, None, after, limit),
        |row| (row.agent.clone(), row.id.clone()),
    );
    let offers = walk(
        |after, limit| engine.offers(None, after, limit),
        |row| (row.agent.clone(), row.id.clone()),
    );
    let agents = walk(|after, limit| engine.agents(after, limit), |row| row.id.clone());
    assert!(!executors.is_empty() && !offers.is_empty());
    for (agent, _) in &executors {
        assert!(agents.contains(agent));
    }
    assert_eq!(engine.agent(&agents[0]).map(|agent| agent.id), Some(agents[0].clone()));
    assert!(engine.agent(&AgentId::new("nobody")).is_none());
}

#[test]
fn pages_of_the_failover_queue_join_to_the_list() {
    let mut world = World::with_app();
    world.subscribe();
    for job in ["a", "b"] {
        world.job(job, r#""shardingTotalCount":3,"failover":true"#);
        world.command(trigger(job, Some("k"))).unwrap();
    }
    for agent in ["S1", "S2", "S3", "S4", "S5", "S6", "S7"] {
        world.offer(agent, 2.0);
    }
    for task in world.tasks("a").into_iter().chain(world.tasks("b")) {
        world.status(&task, TaskState::Lost);
    }
    let waiting =
        walk(|after, limit| world.engine.failover(after, limit), |row| (row.run.clone(), row.item));
    assert_eq!(waiting.len(), 6);
}

#[test]
fn a_change_for_a_document_that_is_no_longer_so_is_refused() {
    let mut world = World::with_app();
    world.job("foo", "");
    let seen =
        |world: &World| Fingerprint::of(world.engine.job(&name("foo")).unwrap().document.get());
    let update = |seen: Fingerprint, extra: &str| Command::IfUnchanged {
        seen,
        change: Box::new(Command::UpdateJob {
            job: name("foo"),
            document: job_document("foo", extra),
        }),
    };
    let first = seen(&world);
    let reply = world.command(update(first, r#""priority":60"#));
    assert_eq!(reply, Ok(Done::Changed));
    let refused = world.command(update(first, r#""priority":70"#));
    assert_eq!(refused, Err(Refusal::Changed { what: "job foo".to_owned() }));
    assert!(world.engine.job(&name("foo")).unwrap().document.get().contains("60"));
    let gone = Command::DeleteJob { job: name("foo") };
    let gone = Command::IfUnchanged { seen: seen(&world), change: Box::new(gone) };
    assert_eq!(world.command(gone.clone()), Ok(Done::Deleted));
    assert!(matches!(world.command(gone), Err(Refusal::NotFound { .. })));
}
