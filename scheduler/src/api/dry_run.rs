//! Whether a document would be taken, without registering it: what the query says about it, and the
//! question. Absent: the checks (the engine's, and those of every change).

use shiftwork_engine::Assumed;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, CalendarName};

use super::ApiState;
use super::params::{Kind, Param, Params};
use super::problem::Problem;
use super::{access, secret_env};
use crate::auth::Identity;

/// Whether a document is only to be checked.
pub(super) static DRY_RUN: Param = Param {
    name: "dryRun",
    about: "Only say whether it would be taken: 204 if it would, else the refusal.",
    kind: Kind::Boolean,
};

/// What else would be there.
pub(super) static ASSUME: Param = Param {
    name: "assume",
    about: "With dryRun: what is taken to be registered, as app:shop,calendar:holidays.",
    kind: Kind::Text,
};

/// What is assumed by a dry run; none if it is to be done.
///
/// # Errors
/// Names the parameter that is wrong.
pub(super) fn read(params: &Params) -> Result<Option<Assumed>, Problem> {
    let flag = |text: &str| text.parse::<bool>().map_err(|_| "must be true or false");
    let dry = params.read(DRY_RUN.name, flag)?.unwrap_or(false);
    let assumed = params.read(ASSUME.name, assumed)?;
    match (dry, assumed) {
        (true, assumed) => Ok(Some(assumed.unwrap_or_default())),
        (false, None) => Ok(None),
        (false, Some(_)) => {
            Err(Problem::parameter(ASSUME.name, "is for a dry run: give dryRun=true, too"))
        }
    }
}

fn assumed(text: &str) -> Result<Assumed, String> {
    let mut assumed = Assumed::default();
    for one in text.split(',') {
        match one.split_once(':') {
            Some(("app", name)) => {
                assumed.apps.insert(AppName::parse(name).map_err(|error| error.to_string())?);
            }
            Some(("calendar", name)) => {
                let name = CalendarName::parse(name).map_err(|error| error.to_string())?;
                assumed.calendars.insert(name);
            }
            _ => return Err(format!("must be app:NAME or calendar:NAME, is {one:?}")),
        }
    }
    Ok(assumed)
}

impl ApiState {
    /// Says what a change would meet, and changes nothing.
    ///
    /// # Errors
    /// The refusal, or 503 without a leader.
    pub(super) async fn try_out(
        &self,
        identity: &Identity,
        change: Command,
        assumed: Assumed,
    ) -> Result<(), Problem> {
        access::allow(self, identity, &change).await?;
        secret_env::check(&self.secrets, &change)?;
        Ok(self.query(move |engine| engine.check(&change, &assumed)).await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::params::RawParams;

    fn of(query: &str) -> Result<Option<Assumed>, Problem> {
        let raw = RawParams::parse(&format!("/x?{query}").parse().unwrap());
        read(&raw.only(&["dryRun", "assume"])?)
    }

    #[test]
    fn what_is_assumed_is_read_or_refused_by_name() {
        assert_eq!((of(""), of("dryRun=false")), (Ok(None), Ok(None)));
        assert_eq!(of("dryRun=true"), Ok(Some(Assumed::default())));
        let assumed = of("dryRun=true&assume=app:a,app:b,calendar:c").unwrap().unwrap();
        assert_eq!((assumed.apps.len(), assumed.calendars.len()), (2, 1));
        for (bad, field) in [
            ("dryRun=maybe", "dryRun"),
            ("assume=app:a", "assume"),
            ("dryRun=true&assume=job:a", "assume"),
            ("dryRun=true&assume=app:a/b", "assume"),
        ] {
            assert_eq!(of(bad).unwrap_err().errors()[0].field, field, "{bad}");
        }
    }
}
