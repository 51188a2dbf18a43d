//! Tasks of Mesos' own executor: written in the recorded form, their recorded ends understood.

use serde_json::Value;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::{Event, TaskState};
use shiftwork_engine::ids::FrameworkId;
use shiftwork_engine::resources::{Demand, Milli, Resources};
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1::{container_info, image};

use super::{first_offer, read, recorded};
use crate::mesos::testing::launch;
use crate::mesos::wire::{Incoming, write_call};

/// A job in command mode.
const JOB: &str = r#"{"jobName":"nightly","appName":"etl","jobExecutionType":"TRANSIENT",
    "shardingTotalCount":2,"jobParameter":"it's $(b)","cpuCount":0.5,"memoryMB":64,
    "executor":"command","scriptCommandLine":"./run.sh --fast","runAs":"batch",
    "killGracePeriod":"100ms"}"#;

#[test]
fn a_command_has_the_recorded_form_and_its_context_is_an_argument_of_its_own() {
    let recorded = &recorded("request", "ACCEPT");
    let recorded = recorded.iter().find(|r| r.place.contains("02-command-tasks")).unwrap();
    let theirs = &recorded.body["accept"]["operations"][0]["launch"]["task_infos"][0];
    let mut offer = first_offer("02-command-tasks");
    let demand = Demand { cpus: Milli(500), mem: Milli(64_000), ..Demand::default() };
    let resources = offer.resources.take(&demand).unwrap();
    let action = Action::Accept {
        agent: offer.agent.clone(),
        offers: vec![offer.id.clone()],
        launches: vec![launch(JOB, &offer.agent, resources, Resources::default())],
    };
    let call = write_call(&action, &FrameworkId::new("f-1")).unwrap().unwrap();
    let text = json::to_json("mesos.v1.scheduler.Call", &call).unwrap();
    let ours: Value = serde_json::from_str(&text).unwrap();
    let ours = &ours["accept"]["operations"][0]["launch"]["task_infos"][0];
    let members = |task: &Value| {
        let names: Vec<String> = task.as_object().unwrap().keys().cloned().collect();
        names.into_iter().filter(|name| name != "kill_policy").collect::<Vec<_>>()
    };
    assert_eq!(members(ours), members(theirs), "nothing that makes a master look for an executor");
    assert_eq!(
        ours["kill_policy"]["grace_period"]["nanoseconds"].to_string().trim_matches('"'),
        "100000000"
    );
    let command = &ours["command"];
    assert_eq!((&command["shell"], &command["value"]), (&Value::Bool(false), &"/bin/sh".into()));
    assert_eq!(command["user"], "batch");
    let arguments: Vec<&str> =
        command["arguments"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let [shell, option, line, name, context] = arguments[..] else { panic!("{arguments:?}") };
    assert_eq!([shell, option, line, name], ["sh", "-c", "./run.sh --fast \"$@\"", "shiftwork"]);
    let context: Value = serde_json::from_str(context).unwrap();
    assert_eq!(context["jobParameter"], "it's $(b)");
    let variables = command["environment"]["variables"].as_array().unwrap();
    let value = |name: &str| {
        variables.iter().find(|variable| variable["name"] == name).map(|found| &found["value"])
    };
    assert_eq!(value("K"), Some(&"v".into()), "the env of the job");
    assert_eq!(value("B"), Some(&"2".into()), "the env of the app");
    assert_eq!(value("SHIFTWORK_ITEM"), Some(&"1".into()));
}

#[test]
fn a_task_with_an_image_and_files_of_its_own_names_both() {
    let job = JOB.replacen(
        '{',
        r#"{"container":{"image":"debian:12"},"uris":["http://h/a.tgz","http://h/b"],"#,
        1,
    );
    let mut offer = first_offer("02-command-tasks");
    let demand = Demand { cpus: Milli(500), mem: Milli(64_000), ..Demand::default() };
    let resources = offer.resources.take(&demand).unwrap();
    let launch = launch(&job, &offer.agent, resources, Resources::default());
    let framework = FrameworkId::new("f-1");
    let task = super::super::task_info::write_task_info(&launch, &offer.agent, &framework).unwrap();
    let container = task.container.unwrap();
    assert_eq!(container.r#type, container_info::Type::Mesos as i32);
    let image = container.mesos.unwrap().image.unwrap();
    assert_eq!(
        (image.r#type(), image.docker.unwrap().name.as_str()),
        (image::Type::Docker, "debian:12")
    );
    let uris: Vec<_> = task
        .command
        .as_ref()
        .unwrap()
        .uris
        .iter()
        .map(|uri| (uri.value.as_str(), uri.extract()))
        .collect();
    assert_eq!(uris[uris.len() - 2..], [("http://h/a.tgz", true), ("http://h/b", false)]);
}

#[test]
fn the_recorded_ends_of_commands_are_outcomes() {
    let mut seen = Vec::new();
    for recorded in recorded("event", "UPDATE") {
        if let Incoming::Event(Event::Status(update)) = read(&recorded)
            && recorded.place.contains("02-command-tasks")
        {
            let outcome = update.outcome.map(|outcome| (outcome.exit_code, outcome.signal));
            seen.push((update.task.to_string(), update.state, outcome));
        }
    }
    let end = |task: &str| {
        let is_end =
            |state| !matches!(state, TaskState::Starting | TaskState::Running | TaskState::Killing);
        seen.iter()
            .find(|(of, state, _)| of == task && is_end(*state))
            .map(|(_, _, end)| *end)
            .unwrap()
    };
    assert_eq!(end("ok-1"), Some((Some(0), None)));
    assert_eq!(end("bad-1"), Some((Some(3), None)));
    assert_eq!(end("kill-1"), Some((None, Some(15))));
    assert_eq!(end("big-1"), None, "what a master says is no end of a command");
}
