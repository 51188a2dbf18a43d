//! Hosts and tasks from the files of a public cluster trace: comma separated, a line of names
//! first (`sn,cpu_milli,memory_mib,gpu`; `name,cpu_milli,memory_mib,num_gpu,gpu_milli`). GPUs are
//! read as one scalar per host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use shiftwork_engine::document::Placement;
use shiftwork_engine::resources::{Demand, Milli};

use super::world::{Host, Work, app};

/// Reads hosts.
///
/// # Errors
/// The file, line and column that cannot be read.
pub(super) fn hosts(path: &Path) -> Result<Vec<Host>> {
    rows(path, |row| {
        let resources = Demand {
            cpus: Milli(row.number("cpu_milli")?),
            mem: Milli(row.number("memory_mib")? * 1000),
            gpus: Milli(row.number("gpu")? * 1000),
            ..Demand::default()
        };
        Ok(Host { name: row.text("sn")?.to_owned(), resources, attributes: Vec::new() })
    })
}

/// Reads tasks in the order of the file, each a work of one shard, all of one app whose executor
/// costs nothing.
///
/// # Errors
/// The file, line and column that cannot be read.
pub(super) fn tasks(path: &Path) -> Result<Vec<Work>> {
    let app = app("trace")?;
    let constraints = Arc::default();
    rows(path, |row| {
        let shard = Demand {
            cpus: Milli(row.number("cpu_milli")?),
            mem: Milli(row.number("memory_mib")? * 1000),
            gpus: Milli(row.number("num_gpu")? * row.number("gpu_milli").unwrap_or(0)),
            ..Demand::default()
        };
        Ok(Work {
            app: app.clone(),
            executor: Demand::default(),
            shard,
            count: 1,
            placement: Placement::BinPack,
            constraints: Arc::clone(&constraints),
        })
    })
}

/// One line by the names of the first.
struct Row<'a> {
    cells: BTreeMap<&'a str, &'a str>,
}

impl Row<'_> {
    fn text(&self, name: &str) -> Result<&str> {
        self.cells.get(name).copied().with_context(|| format!("column {name} is missing"))
    }

    fn number(&self, name: &str) -> Result<i64> {
        let text = self.text(name)?;
        text.trim().parse().with_context(|| format!("column {name}: {text:?} is no whole number"))
    }
}

fn rows<T>(path: &Path, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, read).with_context(|| format!("in {}", path.display()))
}

fn parse<T>(text: &str, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    lines
        .zip(2..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            let cells = names.iter().copied().zip(line.split(',')).collect();
            read(&Row { cells }).with_context(|| format!("line {number}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_the_names_of_the_first_and_mistakes_say_where() {
        let read = |text| parse(text, |row| row.number("b"));
        assert_eq!(read("a,b\nx,1\n\ny,2\n").unwrap(), [1, 2]);
        let error = format!("{:#}", read("a,b\nx,1\ny,z\n").unwrap_err());
        assert!(error.contains("line 3") && error.contains("column b"), "{error}");
    }
}
