//! What a master is sent.

use prost::Message as _;
use serde_json::Value;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Offer;
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use shiftwork_engine::resources::{Demand, Milli, Resources};
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::scheduler::{Call, call};
use shiftwork_proto::shiftwork::v1 as payload;

use super::{Recorded, base64, first_offer, recorded, text};
use crate::mesos::testing::{JOB, launch};
use crate::mesos::wire::{WireError, write_call};

fn demand(cpus: i64, mem: i64) -> Demand {
    Demand { cpus: Milli(cpus), mem: Milli(mem), ..Demand::default() }
}

/// An ACCEPT of one task on an offer, as a call.
fn accept(offer: &mut Offer, job: &str, task: &Demand) -> Call {
    let resources = offer.resources.take(task).unwrap();
    let executor = offer.resources.take(&demand(200, 64_000)).unwrap();
    let action = Action::Accept {
        agent: offer.agent.clone(),
        offers: vec![offer.id.clone()],
        launches: vec![launch(job, &offer.agent, resources, executor)],
    };
    write_call(&action, &FrameworkId::new("f-1")).unwrap().unwrap()
}

fn as_json(call: &Call) -> Value {
    let text = json::to_json("mesos.v1.scheduler.Call", call).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_launch_on_a_recorded_offer_has_the_recorded_form() {
    let recorded = &recorded("request", "ACCEPT");
    let recorded = recorded.iter().find(|r| r.place.contains("03-custom-executor")).unwrap();
    let mut offer = first_offer("03-custom-executor");
    let ours = as_json(&accept(&mut offer, JOB, &demand(500, 64_000)));
    let task = |call: &Value| call["accept"]["operations"][0]["launch"]["task_infos"][0].clone();
    // 64 and 64.0 are one number, written in two ways.
    let resources = |task: &Value| {
        let text = task["resources"].to_string().replace(":64}", ":64.0}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (ours_task, theirs) = (task(&ours), task(&recorded.body));
    assert_eq!(resources(&ours_task), resources(&theirs));
    assert_eq!(resources(&ours_task["executor"]), resources(&theirs["executor"]));
    assert_eq!(ours["type"], "ACCEPT");
    assert_eq!(ours["accept"]["operations"][0]["type"], "LAUNCH");
    assert_eq!(ours["accept"]["offer_ids"], recorded.body["accept"]["offer_ids"]);
    assert_eq!(ours["accept"]["filters"], recorded.body["accept"]["filters"]);
    assert_eq!(ours_task["agent_id"], theirs["agent_id"]);
    assert_eq!(ours_task["executor"]["type"], theirs["executor"]["type"]);
    let agent = text(&theirs["agent_id"]).unwrap();
    assert_eq!(ours_task["name"], format!("nightly@-@1@-@READY@-@{agent}"));
    assert_eq!(ours_task["executor"]["executor_id"]["value"], format!("etl@-@{agent}"));
}

#[test]
fn reservations_of_a_recorded_offer_are_repeated() {
    let mut offer = first_offer("04b-second-framework");
    assert_eq!(&*offer.resources.pieces[0].origin.role, "batch");
    let call = as_json(&accept(&mut offer, JOB, &demand(500, 64_000)));
    let task = &call["accept"]["operations"][0]["launch"]["task_infos"][0];
    for resource in task["resources"].as_array().unwrap() {
        assert_eq!(resource["allocation_info"]["role"], "batch");
        assert_eq!(resource["reservations"][0]["role"], "batch");
        assert_eq!(resource["reservations"][0]["type"], "STATIC");
    }
}
#[test]
fn an_executor_is_written_the_same_to_the_byte() {
    let written = || {
        let mut offer = first_offer("03-custom-executor");
        let call = accept(&mut offer, JOB, &demand(500, 64_000));
        let launch = call.accept.unwrap().operations.remove(0).launch.unwrap();
        launch.task_infos.into_iter().next().unwrap().executor.unwrap()
    };
    let executor = written();
    assert_eq!(executor.encode_to_vec(), written().encode_to_vec());

    // Another task, and pieces that were taken in two halves, change nothing either.
    let mut offer = first_offer("03-custom-executor");
    let mut halves = offer.resources.take(&demand(100, 32_000)).unwrap();
    halves.pieces.extend(offer.resources.take(&demand(100, 32_000)).unwrap().pieces);
    let job = JOB.replace("nightly", "hourly");
    let launch = launch(&job, &offer.agent, Resources::default(), halves);
    let action =
        Action::Accept { agent: offer.agent, offers: vec![offer.id], launches: vec![launch] };
    let call = write_call(&action, &FrameworkId::new("f-1")).unwrap().unwrap();
    let task = &call.accept.unwrap().operations[0].launch.clone().unwrap().task_infos[0];
    assert_eq!(task.executor.as_ref().unwrap().encode_to_vec(), executor.encode_to_vec());

    let command = executor.command.unwrap();
    let uris: Vec<_> = command.uris.iter().map(|uri| uri.value.as_str()).collect();
    assert_eq!(uris, ["http://repo/etl.tar.gz", "http://repo/extra.zip"]);
    assert!(command.uris.iter().all(|uri| uri.cache == Some(false) && uri.extract == Some(true)));
    assert_eq!((command.shell, command.value.as_deref()), (Some(true), Some("bin/start")));
    let env: Vec<_> = command.environment.unwrap().variables;
    let env: Vec<_> = env.iter().map(|v| (v.name.as_str(), v.value.as_deref())).collect();
    assert_eq!(env, [("A", Some("1")), ("B", Some("2"))]);
    assert_eq!(executor.framework_id.unwrap().value, "f-1");
    let data = payload::ExecutorPayload::decode(executor.data.unwrap()).unwrap();
    let expected =
        payload::ExecutorPayload { version: 1, app: "etl".to_owned(), idle_timeout_ms: 90_000 };
    assert_eq!(data, expected);
}

fn payload_of(job: &str, task: &Demand) -> Result<payload::TaskPayload, WireError> {
    let mut offer = first_offer("03-custom-executor");
    let resources = offer.resources.take(task).unwrap();
    let action = Action::Accept {
        agent: offer.agent.clone(),
        offers: Vec::new(),
        launches: vec![launch(job, &offer.agent, resources, Resources::default())],
    };
    let call = write_call(&action, &FrameworkId::new("f-1"))?.unwrap();
    let launch = call.accept.unwrap().operations.remove(0).launch.unwrap();
    let data = launch.task_infos.into_iter().next().unwrap().data.unwrap();
    Ok(payload::TaskPayload::decode(data).unwrap())
}

#[test]
fn a_task_carries_all_it_needs() {
    let demand = Demand { ports: 2, ..demand(500, 64_000) };
    let expected = payload::TaskPayload {
        version: 1,
        app: "etl".to_owned(),
        job: "nightly".to_owned(),
        run_id: "nightly@20261120T020000Z".to_owned(),
        logical_time_ms: 1_795_140_000_000,
        attempt: 2,
        item: 1,
        sharding_total_count: 3,
        sharding_parameter: "south, this time".to_owned(),
        job_parameter: "p".to_owned(),
        execution_type: payload::ExecutionType::Transient as i32,
        schedule: None,
        env: [("K".to_owned(), "v".to_owned())].into(),
        kill_grace_period_ms: 7000,
        timeout_ms: 3_600_000,
        event_sampling_count: 10,
        ports: vec![31_000, 31_001],
        run_as: String::new(),
        limits: None,
        work: Some(payload::task_payload::Work::Script(payload::Script {
            command_line: "bin/job".to_owned(),
            no_context_argument: false,
        })),
    };
    assert_eq!(payload_of(JOB, &demand), Ok(expected));
}

#[test]
fn a_daemon_carries_its_schedule() {
    let daemon = JOB.replace("TRANSIENT", "DAEMON");
    let zoned =
        daemon.replace("\"timeout\":\"1h\"", r#""timeZone":"Europe/Berlin","misfire":true"#);
    let cron = payload_of(&zoned, &Demand::default()).unwrap();
    assert_eq!(cron.execution_type, payload::ExecutionType::Daemon as i32);
    let expected = payload::Schedule {
        cron: "0 0 2 * * ?".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        misfire: true,
        ..payload::Schedule::default()
    };
    assert_eq!(cron.schedule, Some(expected));

    let every = daemon.replace(
        r#""cron":"0 0 2 * * ?""#,
        r#""every":"90s","startAt":"2026-11-20T02:00:00Z","count":7,
        "startAfter":"2026-11-20T02:00:00Z","endBefore":"2026-11-20T02:00:01Z""#,
    );
    let expected = payload::Schedule {
        every_ms: 90_000,
        start_at_ms: 1_795_140_000_000,
        count: 7,
        start_after_ms: Some(1_795_140_000_000),
        end_before_ms: Some(1_795_140_001_000),
        ..payload::Schedule::default()
    };
    assert_eq!(payload_of(&every, &Demand::default()).unwrap().schedule, Some(expected));
}
#[test]
fn calls_have_the_recorded_form() {
    let id =
        |recorded: &Value, path: &str| recorded.pointer(path).unwrap().as_str().unwrap().to_owned();
    let same = |action: &Action, recorded: &Recorded| {
        let framework = FrameworkId::new(id(&recorded.body, "/framework_id/value"));
        let ours = as_json(&write_call(action, &framework).unwrap().unwrap());
        assert_eq!(ours, recorded.body, "{}", recorded.place);
    };
    let decline = &recorded("request", "DECLINE")[0];
    let offer = OfferId::new(id(&decline.body, "/decline/offer_ids/0/value"));
    same(&Action::Decline { offers: vec![offer], refuse_ms: 2000 }, decline);

    let kills = recorded("request", "KILL");
    let kill = kills.iter().find(|kill| kill.body["kill"]["kill_policy"].is_object()).unwrap();
    let mut kill_body = kill.body.clone();
    let grace = kill_body.pointer_mut("/kill/kill_policy/grace_period/nanoseconds").unwrap();
    assert_eq!(grace.to_string().trim_matches('"'), "1000000000");
    *grace = 1_000_000_000_u64.into();
    let action = Action::Kill {
        task: TaskId::new(id(&kill.body, "/kill/task_id/value")),
        agent: AgentId::new(id(&kill.body, "/kill/agent_id/value")),
        grace_ms: 1000,
    };
    same(&action, &Recorded { place: kill.place.clone(), body: kill_body, bytes: None });

    let acknowledge = &recorded("request", "ACKNOWLEDGE")[0];
    let action = Action::Acknowledge {
        task: TaskId::new(id(&acknowledge.body, "/acknowledge/task_id/value")),
        agent: AgentId::new(id(&acknowledge.body, "/acknowledge/agent_id/value")),
        uuid: base64(acknowledge.body["acknowledge"]["uuid"].as_str().unwrap()),
    };
    same(&action, acknowledge);

    let shutdown = &recorded("request", "SHUTDOWN")[0];
    let action = Action::ShutdownExecutor {
        executor: ExecutorId::new(id(&shutdown.body, "/shutdown/executor_id/value")),
        agent: AgentId::new(id(&shutdown.body, "/shutdown/agent_id/value")),
    };
    same(&action, shutdown);

    let reconciles = recorded("request", "RECONCILE");
    let named = |r: &&Recorded| {
        let tasks = r.body["reconcile"]["tasks"].as_array();
        tasks.is_some_and(|tasks| {
            !tasks.is_empty() && tasks.iter().all(|task| task["agent_id"].is_object())
        })
    };
    let reconcile = reconciles.iter().find(named).unwrap();
    let tasks = reconcile.body["reconcile"]["tasks"].as_array().unwrap();
    let tasks = tasks
        .iter()
        .map(|task| {
            let task_id = TaskId::new(text(&task["task_id"]).unwrap());
            (task_id, AgentId::new(text(&task["agent_id"]).unwrap()))
        })
        .collect();
    same(&Action::Reconcile { tasks }, reconcile);
    same(&Action::Suppress, &recorded("request", "SUPPRESS")[0]);
    let revive = recorded("request", "REVIVE");
    same(&Action::Revive, revive.iter().find(|r| r.place.contains("04-")).unwrap());
    assert_eq!(write_call(&Action::SubscribeAnew, &FrameworkId::new("f")), Ok(None));
}

/// The action whose call a recorded one is; `None` for kinds of calls that are ours in another form.
fn action_of(call: &Call) -> Option<Action> {
    let offers = |ids: &[mesos::OfferId]| ids.iter().map(|id| OfferId::new(&*id.value)).collect();
    let refuse_ms = |filters: Option<&mesos::Filters>| {
        filters.and_then(|filters| filters.refuse_seconds).map(|seconds| (seconds * 1000.0) as u64)
    };
    Some(match call.r#type() {
        call::Type::Decline => {
            let decline = call.decline.as_ref()?;
            let refuse_ms = refuse_ms(decline.filters.as_ref())?;
            Action::Decline { offers: offers(&decline.offer_ids), refuse_ms }
        }
        call::Type::AcceptInverseOffers => {
            let accept = call.accept_inverse_offers.as_ref()?;
            let refuse_ms = refuse_ms(accept.filters.as_ref())?;
            Action::AcceptInverseOffers { offers: offers(&accept.inverse_offer_ids), refuse_ms }
        }
        // Some were sent with the type alone.
        call::Type::Revive => call.revive.as_ref().map(|_| Action::Revive)?,
        call::Type::Suppress => call.suppress.as_ref().map(|_| Action::Suppress)?,
        call::Type::Kill => {
            let kill = call.kill.as_ref()?;
            let grace = kill.kill_policy.as_ref()?.grace_period.as_ref()?.nanoseconds;
            Action::Kill {
                task: TaskId::new(&*kill.task_id.value),
                agent: AgentId::new(&*kill.agent_id.as_ref()?.value),
                grace_ms: (grace / 1_000_000) as u64,
            }
        }
        call::Type::Acknowledge => {
            let acknowledge = call.acknowledge.as_ref()?;
            Action::Acknowledge {
                task: TaskId::new(&*acknowledge.task_id.value),
                agent: AgentId::new(&*acknowledge.agent_id.value),
                uuid: acknowledge.uuid.to_vec(),
            }
        }
        call::Type::Reconcile => {
            let tasks = call.reconcile.as_ref()?.tasks.iter().map(|task| {
                let agent = AgentId::new(&*task.agent_id.as_ref()?.value);
                Some((TaskId::new(&*task.task_id.value), agent))
            });
            Action::Reconcile { tasks: tasks.collect::<Option<_>>()? }
        }
        call::Type::Shutdown => {
            let shutdown = call.shutdown.as_ref()?;
            Action::ShutdownExecutor {
                executor: ExecutorId::new(&*shutdown.executor_id.value),
                agent: AgentId::new(&*shutdown.agent_id.value),
            }
        }
        _ => return None,
    })
}

#[test]
fn every_recorded_call_that_we_would_make_has_the_same_bytes() {
    let mut compared = std::collections::BTreeMap::new();
    for kind in [
        "DECLINE",
        "ACCEPT_INVERSE_OFFERS",
        "REVIVE",
        "SUPPRESS",
        "KILL",
        "ACKNOWLEDGE",
        "RECONCILE",
        "SHUTDOWN",
    ] {
        for recorded in recorded("request", kind) {
            // Malformed on purpose, or in the JSON flavour: no bytes of a protobuf.
            let Some(bytes) = &recorded.bytes else { continue };
            let Ok(theirs) = Call::decode(&bytes[..]) else { continue };
            let Some(framework) = &theirs.framework_id else { continue };
            let framework = FrameworkId::new(&*framework.value);
            let Some(action) = action_of(&theirs) else { continue };
            let ours = write_call(&action, &framework).unwrap().unwrap();
            assert_eq!(ours, theirs, "{}", recorded.place);
            assert_eq!(ours.encode_to_vec(), theirs.encode_to_vec(), "{}", recorded.place);
            assert_eq!(ours.encoded_len(), bytes.len(), "{}: nothing is missing", recorded.place);
            *compared.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(compared.len(), 8, "each kind was recorded: {compared:?}");
    assert!(compared.values().sum::<usize>() > 50, "{compared:?}");
}

#[test]
fn declined_inverse_offers_have_the_recorded_form_beside_our_filter() {
    let recorded = &recorded("request", "DECLINE_INVERSE_OFFERS")[0];
    let ids = &recorded.body["decline_inverse_offers"]["inverse_offer_ids"];
    let offers = vec![OfferId::new(text(&ids[0]).unwrap())];
    let action = Action::DeclineInverseOffers { offers, refuse_ms: 60_000 };
    let framework = text(&recorded.body["framework_id"]).unwrap();
    let mut ours = as_json(&write_call(&action, &FrameworkId::new(framework)).unwrap().unwrap());
    let filters = ours["decline_inverse_offers"].as_object_mut().unwrap().remove("filters");
    assert_eq!(filters.unwrap()["refuse_seconds"], 60.0);
    assert_eq!(ours, recorded.body);
}

#[test]
fn requests_and_registered_jobs_are_carried_whole() {
    let script = r#""scriptCommandLine":"bin/job""#;
    assert!(JOB.contains(script), "the job's script stands elsewhere: {JOB}");
    let work = |other: &str| {
        let job = JOB.replace(script, other).replace(r#""jobType":"SCRIPT","#, "");
        payload_of(&job, &Demand::default()).unwrap().work.unwrap()
    };
    let http = r#""http":{"uri":"http://h/x","method":"put","body":"b","headers":{"a":"c"},
        "connectTimeout":"1s","readTimeout":"2s","success":["200-299"]}"#;
    let expected = payload::Http {
        uri: "http://h/x".to_owned(),
        method: "PUT".to_owned(),
        headers: [("a".to_owned(), "c".to_owned())].into(),
        body: "b".to_owned(),
        connect_timeout_ms: 1_000,
        read_timeout_ms: 2_000,
        success: vec![payload::StatusRange { first: 200, last: 299 }],
    };
    assert_eq!(work(http), payload::task_payload::Work::Http(expected));
    let class = r#""jobType":"DATAFLOW","jobClass":"lines","streamingProcess":true"#;
    let expected = payload::JobClass { name: "lines".to_owned(), dataflow: true, streaming: true };
    assert_eq!(work(class), payload::task_payload::Work::JobClass(expected));
    let job = JOB.replace(script, &format!(r#"{script},"runAs":"batch""#));
    assert_eq!(payload_of(&job, &Demand::default()).unwrap().run_as, "batch");
    let limits = r#""limits":{"openFiles":64,"cpuTime":"1m"}"#;
    let job = JOB.replace(script, &format!("{script},{limits}"));
    let expected = payload::Limits {
        open_files: Some(64),
        cpu_time_s: Some(60),
        ..payload::Limits::default()
    };
    assert_eq!(payload_of(&job, &Demand::default()).unwrap().limits, Some(expected));
}
