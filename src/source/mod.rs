//! Where connector sets come from: the files of a directory, read at start and at each save; and
//! how other files are read that are taken up live.
//!
//! What is broken, gone or unreadable keeps its last good set: policy never disappears by
//! accident. A set goes only by `retired = true`.

mod background;
mod callers;
mod changes;
mod file;
mod files;
mod held;
mod journal;
mod lifted;
mod load;
mod reload;
mod settle;
mod start;
mod statement;
mod trail;
mod watch;

pub use callers::{CallerFile, check_callers};
pub use changes::{Connectors, Difference, Names};
pub use file::{Content, Digest, Directory, File};
pub use files::{Files, FilesError, Reading};
pub use journal::{Event, Events, Problem};
pub use lifted::lifted;
pub use load::{Loaded, Progress, load_all};
pub use reload::{Reload, ReloadError};
pub use start::{Checked, StartError, judge_overlaps, judge_whole};
pub use watch::Ended;
