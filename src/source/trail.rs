//! The links that a path leads through: each is a place where other contents can be put in.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// What the contents of a directory, or of a few files, come through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trail {
    /// The directory itself, without any link in its path; none where it is not there, and for
    /// files.
    pub(super) directory: Option<PathBuf>,
    /// The entries outside of it that decide what is in it.
    pub(super) waypoints: Vec<Waypoint>,
}

/// An entry of a directory that a path leads through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Waypoint {
    /// The directory, without any link in its path.
    pub(super) within: PathBuf,
    /// The entry.
    pub(super) name: OsString,
    /// Nothing else tells of its change.
    pub(super) vital: bool,
}

impl Trail {
    /// The trail of `directory`, an absolute path, and of the links to sets that are in it.
    pub(super) fn of(directory: &Path) -> Self {
        let mut waypoints = Vec::new();
        let directory = walk(PathBuf::new(), directory, &mut waypoints);
        let entries = directory
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flatten();
        let mut links: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect();
        links.sort();
        for link in links {
            if let (Some(directory), Some(name)) = (&directory, link.file_name()) {
                let first = waypoints.len();
                if walk(directory.clone(), Path::new(name), &mut waypoints).is_some()
                    && let Some(target) = waypoints.get_mut(first..).and_then(<[_]>::last_mut)
                {
                    target.vital = true;
                }
            }
        }
        if let Some(directory) = &directory {
            waypoints.retain(|waypoint| waypoint.within != *directory);
        }
        Self {
            directory,
            waypoints,
        }
    }

    /// The trail of the files `paths`, which are absolute.
    pub(super) fn of_files(paths: &[PathBuf]) -> Self {
        let mut waypoints = Vec::new();
        for path in paths {
            walk(PathBuf::new(), path, &mut waypoints);
        }
        for waypoint in &mut waypoints {
            waypoint.vital = true;
        }
        Self {
            directory: None,
            waypoints,
        }
    }
}

/// Follows `path` from the directory `from`: to where it leads, if it does.
fn walk(from: PathBuf, path: &Path, waypoints: &mut Vec<Waypoint>) -> Option<PathBuf> {
    let mut at = from;
    let mut ahead: VecDeque<Step> = steps(path).collect();
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        let name = match step {
            Step::Root => {
                at = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                at.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        let entry = at.join(&name);
        let Ok(metadata) = fs::symlink_metadata(&entry) else {
            waypoints.push(Waypoint {
                within: at,
                name,
                vital: true,
            });
            return None;
        };
        if !metadata.is_symlink() {
            if ahead.is_empty() {
                waypoints.push(Waypoint {
                    within: at,
                    name,
                    vital: false,
                });
            }
            at = entry;
            continue;
        }
        waypoints.push(Waypoint {
            within: at.clone(),
            name,
            vital: true,
        });
        links += 1;
        let target = fs::read_link(&entry).ok().filter(|_| links <= MOST_LINKS)?;
        for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(step);
        }
    }
    Some(at)
}

enum Step {
    Down(OsString),
    Root,
    Up,
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// As many as Linux follows.
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn shown(trail: &Trail, root: &Path) -> (Option<String>, Vec<String>) {
        let below = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        let waypoints = trail.waypoints.iter().filter(|waypoint| waypoint.vital);
        let waypoints = waypoints.map(|waypoint| below(&waypoint.within.join(&waypoint.name)));
        (trail.directory.as_deref().map(below), waypoints.collect())
    }

    #[test]
    fn a_trail_is_all_that_can_be_swapped() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("releases/1/sets")).unwrap();
        fs::create_dir_all(root.join("shared")).unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink("current/sets", root.join("sets")).unwrap();
        symlink("../../../shared/a", root.join("releases/1/sets/a.toml")).unwrap();
        symlink("b", root.join("releases/1/sets/b.toml")).unwrap();
        symlink("loop", root.join("loop")).unwrap();

        let trail = shown(&Trail::of(&root.join("sets")), &root);
        let expected = ["sets", "current", "shared/a"].map(str::to_owned).to_vec();
        assert_eq!(trail, (Some("releases/1/sets".into()), expected));
        fs::write(root.join("shared/a"), "").unwrap();
        assert_eq!(shown(&Trail::of(&root.join("sets")), &root), trail);

        let missing = shown(&Trail::of(&root.join("current/../2/none/sets")), &root);
        assert_eq!(missing, (None, vec!["current".into(), "releases/2".into()]));
        assert_eq!(Trail::of(&root.join("loop")).directory, None);
        assert_eq!(
            Trail::of(Path::new("/")).directory,
            Some(PathBuf::from("/"))
        );
    }

    #[test]
    fn files_have_a_trail_each() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("live/mx")).unwrap();
        fs::create_dir_all(root.join("archive/mx")).unwrap();
        fs::write(root.join("archive/mx/cert1.pem"), "").unwrap();
        symlink("../../archive/mx/cert1.pem", root.join("live/mx/cert.pem")).unwrap();
        let paths = ["live/mx/cert.pem", "key.pem", "none/ca.pem"].map(|path| root.join(path));
        let expected = [
            "live/mx/cert.pem",
            "archive/mx/cert1.pem",
            "key.pem",
            "none",
        ];
        let trail = shown(&Trail::of_files(&paths), &root);
        assert_eq!(trail, (None, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_config_map_leads_through_its_data() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("..1")).unwrap();
        fs::write(root.join("..1/a.toml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/a.toml", root.join("a.toml")).unwrap();
        let trail = shown(&Trail::of(&root), &root);
        assert_eq!(trail, (Some(String::new()), vec!["..1/a.toml".into()]));
    }
}
