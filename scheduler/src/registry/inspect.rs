//! Looking at a loaded tree as a person would: what stands below a path, and what a node holds.
//! Absent: loading the tree, and printing.

use bytes::Bytes;

use super::{Path, Tree};

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The node.
    pub path: Path,
    /// Its own data in bytes.
    pub data_bytes: usize,
    /// How many nodes stand below it, at any depth.
    pub below: usize,
}

/// The children of a node, or of the namespace itself for `None`, sorted by path.
pub fn children(tree: &Tree, parent: Option<&Path>) -> Vec<Child> {
    let nodes: Box<dyn Iterator<Item = (&Path, &Bytes)>> = match parent {
        Some(parent) => Box::new(tree.below(parent)),
        None => Box::new(tree.nodes()),
    };
    let depth = parent.map_or(0, |parent| parent.segments().count()) + 1;
    nodes
        .filter(|(path, _)| path.segments().count() == depth)
        .map(|(path, data)| Child {
            path: path.clone(),
            data_bytes: data.len(),
            below: tree.below(path).count(),
        })
        .collect()
}

/// A node's data, none if there is no such node.
pub fn get<'a>(tree: &'a Tree, path: &Path) -> Option<&'a Bytes> {
    tree.get(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(nodes: &[(&str, &str)]) -> Tree {
        nodes
            .iter()
            .map(|(path, data)| (Path::new(*path).unwrap(), Bytes::from(data.to_string())))
            .collect()
    }

    #[test]
    fn lists_direct_children_with_sizes_and_counts() {
        let tree = tree(&[
            ("config", ""),
            ("config/job", ""),
            ("config/job-x", "12345"),
            ("config/job/a", "123"),
            ("config/job/a/deep", "1"),
            ("config/job/b", ""),
            ("state", "7"),
        ]);
        let list = |parent: Option<&str>| {
            let parent = parent.map(|p| Path::new(p).unwrap());
            children(&tree, parent.as_ref())
                .into_iter()
                .map(|child| format!("{} {} {}", child.path, child.data_bytes, child.below))
                .collect::<Vec<_>>()
        };
        assert_eq!(list(None), ["config 0 5", "state 1 0"]);
        assert_eq!(list(Some("config")), ["config/job 0 3", "config/job-x 5 0"]);
        assert_eq!(list(Some("config/job")), ["config/job/a 3 1", "config/job/b 0 0"]);
        assert_eq!(list(Some("config/job/b")), Vec::<String>::new());
        assert_eq!(list(Some("absent")), Vec::<String>::new());
        let path = Path::new("config/job/a").unwrap();
        assert_eq!(get(&tree, &path).map(|data| &data[..]), Some(&b"123"[..]));
        assert_eq!(get(&tree, &Path::new("config/nothing").unwrap()), None);
    }
}
