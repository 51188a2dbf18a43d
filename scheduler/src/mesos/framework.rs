//! What we tell the master of ourselves. Absent: the secret; it goes with the
//! request, not into the message.

use std::os::unix::fs::MetadataExt as _;

use shiftwork_engine::ids::FrameworkId;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::framework_info::{Capability, capability};

use super::config::DriverConfig;

/// The name shown by the master.
const NAME: &str = "shiftwork";

/// What we understand beyond the first Mesos: roles as a list, tasks that come back from a
/// partition, `TASK_KILLING`, and reservations as a stack.
const CAPABILITIES: [capability::Type; 4] = [
    capability::Type::MultiRole,
    capability::Type::PartitionAware,
    capability::Type::TaskKillingState,
    capability::Type::ReservationRefinement,
];

/// The `FrameworkInfo` of a subscription; with an id, it takes up the framework of that id.
pub fn framework_info(
    config: &DriverConfig,
    user: &str,
    id: Option<&FrameworkId>,
) -> mesos::FrameworkInfo {
    mesos::FrameworkInfo {
        user: user.to_owned(),
        name: NAME.to_owned(),
        id: id.map(|id| mesos::FrameworkId { value: id.to_string() }),
        failover_timeout: Some(config.failover_timeout.as_secs_f64()),
        checkpoint: Some(true),
        roles: vec![config.role.clone()],
        hostname: Some(config.hostname.clone()).filter(|hostname| !hostname.is_empty()),
        webui_url: config.webui_url.clone(),
        // A master that authenticates refuses a framework of another principal than the request's.
        principal: config.credentials.as_ref().map(|own| own.principal().to_owned()),
        capabilities: CAPABILITIES
            .into_iter()
            .chain(config.gpus.then_some(capability::Type::GpuResources))
            .map(|capability| Capability { r#type: Some(capability as i32) })
            .collect(),
        ..mesos::FrameworkInfo::default()
    }
}

/// The user tasks run as: the configured one or the one this process runs as.
pub(super) fn user(config: &DriverConfig) -> String {
    config.user.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| {
        let uid = std::fs::metadata("/proc/self").map(|process| process.uid()).ok();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        uid.and_then(|uid| user_of(uid, &passwd))
            .or_else(|| std::env::var("USER").ok())
            .unwrap_or_else(|| "root".to_owned())
    })
}

/// The name of a user id in the text of `/etc/passwd`.
fn user_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_there_only_when_known() {
        let mut config = DriverConfig::new(vec!["m:5050".to_owned()]);
        config.user = Some("batch".to_owned());
        let first = framework_info(&config, &user(&config), None);
        assert_eq!((first.id, first.user.as_str(), first.hostname), (None, "batch", None));
        assert_eq!(first.roles, ["*"]);
        let id = FrameworkId::new("f-1");
        let again = framework_info(&config, "batch", Some(&id));
        assert_eq!(again.id.map(|id| id.value).as_deref(), Some("f-1"));
        assert_eq!(again.failover_timeout, Some(604_800.0));
        assert_eq!(again.principal, None);
    }

    #[test]
    fn gpus_are_asked_for_only_when_wanted() {
        let mut config = DriverConfig::new(vec!["m:5050".to_owned()]);
        let named = |config: &DriverConfig| {
            let info = framework_info(config, "batch", None);
            info.capabilities.iter().map(|c| c.r#type().as_str_name()).collect::<Vec<_>>()
        };
        let always =
            ["MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE", "RESERVATION_REFINEMENT"];
        assert_eq!(named(&config), always);
        config.gpus = true;
        assert_eq!(named(&config)[4..], ["GPU_RESOURCES"]);
    }

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nbatch:x:1001:1001::/:/bin/sh\n";
        assert_eq!(user_of(1001, passwd).as_deref(), Some("batch"));
        assert_eq!(user_of(0, passwd).as_deref(), Some("root"));
        assert_eq!(user_of(7, passwd), None);
    }
}
