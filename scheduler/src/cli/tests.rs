//! What the command line accepts and refuses.

use clap::Parser;
use clap::error::ErrorKind;

use super::job::JobCommand;
use super::{ClientArgs, ClientCommand, Output};

#[derive(Debug, Parser)]
#[command(name = "shiftwork")]
struct Cli {
    #[command(flatten)]
    args: ClientArgs,
    #[command(subcommand)]
    command: ClientCommand,
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("shiftwork").chain(line.split(' ')))
}

#[test]
fn the_definition_is_sound() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_understood() {
    for line in [
        "app list",
        "registry ls",
        "registry ls config/job --data-dir d",
        "registry get config/job/foo --registry zk://a:2181,b:2181/c --namespace n",
        "app get shop",
        "app create -f app.json",
        "app update -f -",
        "app delete shop",
        "app enable shop",
        "app disable shop --reason audit",
        "job list --app shop",
        "job get foo",
        "job create -f job.json",
        "job update -f job.json",
        "job delete foo",
        "job enable foo",
        "job disable foo",
        "job trigger foo --param p --env A=1 --env B=2 --key k --wait",
        "job next foo -n 3",
        "job next --cron 0/5****? --tz Europe/Berlin --from 2026-11-20T00:00:00Z -n 5",
        "job why foo",
        "apply -f all.json",
        "run list --job foo --state RUNNING --limit 10",
        "run get foo@20261120T020000Z",
        "run cancel foo@20261120T020000Z",
        "run events foo@20261120T020000Z",
        "task kill foo@-@0@-@READY@-@S0@-@u",
        "user list",
        "user add alice --role admin",
        "user add bob --role operator --app team-a- --app shared",
        "user set bob --role viewer --all-apps",
        "user password bob",
        "user delete bob",
        "token list",
        "token create ci --role operator --app team-a- --expires-in 90d",
        "token revoke ci",
        "secret list",
        "secret set db --app team-a-",
        "secret delete db",
        "whoami",
        "audit-log --actor alice --kind job --since 24h -n 5",
        "queue ready",
        "queue failover",
        "queue running",
        "agent list",
        "agent get S0",
        "offer list --agent S0",
        "executor list --app shop --agent S0",
        "task list --job foo --app shop --agent S0 --state running",
        "task get foo@-@0@-@READY@-@S0@-@u",
        "task logs foo@-@0@-@READY@-@S0@-@u --stderr",
        "plan -f all.json --exit-code",
        "apply -f a.yaml -f dir -f -",
        "export --app shop --dir d",
        "events --job foo --run foo@x --submitter billing --kind task --after 1.2 -n 3",
        "statistics --interval day --since 2026-11-20T00:00:00Z",
        "leader",
        "reconcile",
        "job list --watch",
        "job list -w=5",
        "status",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn the_output_form_may_stand_anywhere() {
    for line in
        ["-o json app list", "app -o json list", "app list -o json", "app list --output=json"]
    {
        assert_eq!(parse(line).unwrap().args.output, Output::Json, "{line}");
    }
    let cli = parse("--server http://h:1 status").unwrap();
    assert_eq!((cli.args.server.as_str(), cli.args.output), ("http://h:1", Output::Table));
}

#[test]
fn wrong_commands_are_refused() {
    for (line, kind) in [
        ("job next", ErrorKind::MissingRequiredArgument),
        ("job next foo --cron x", ErrorKind::ArgumentConflict),
        ("job next foo --tz UTC", ErrorKind::ArgumentConflict),
        ("job next foo --tzdb system", ErrorKind::ArgumentConflict),
        ("job next foo -n 0", ErrorKind::ValueValidation),
        ("job next --cron x --from yesterday", ErrorKind::ValueValidation),
        ("job trigger foo --env A", ErrorKind::ValueValidation),
        ("app get a/b", ErrorKind::ValueValidation),
        ("app delete ..", ErrorKind::ValueValidation),
        ("run get foo", ErrorKind::ValueValidation),
        ("run list --limit 0", ErrorKind::ValueValidation),
        ("audit-log -n 0", ErrorKind::ValueValidation),
        ("app create", ErrorKind::MissingRequiredArgument),
        ("app list -o xml", ErrorKind::InvalidValue),
        ("app list --watch=0", ErrorKind::ValueValidation),
        ("apply", ErrorKind::MissingRequiredArgument),
        ("events --kind job", ErrorKind::InvalidValue),
        ("jobs list", ErrorKind::InvalidSubcommand),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
    }
}

#[test]
fn only_what_reads_is_shown_again() {
    for (line, reads) in [
        ("status", true),
        ("job why foo", true),
        ("queue ready", true),
        ("plan -f x", true),
        ("job trigger foo", false),
        ("apply -f x", false),
        ("events", false),
        ("run logs foo@x", false),
        ("reconcile", false),
    ] {
        assert_eq!(parse(line).unwrap().command.only_reads(), reads, "{line}");
    }
}

#[test]
fn an_expression_may_hold_blanks() {
    let line = ["shiftwork", "job", "next", "--cron", "0 0 2 * * ?"];
    let cli = Cli::try_parse_from(line).unwrap();
    match cli.command {
        ClientCommand::Job(JobCommand::Next(next)) => {
            assert_eq!(next.cron.as_deref(), Some("0 0 2 * * ?"));
            assert_eq!(next.n, 5);
        }
        other => panic!("{other:?}"),
    }
}
