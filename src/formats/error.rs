//! What can be wrong with a model's file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be read or written. The message names the file, the place in it, and what is wrong there.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's ending names no format.
    #[error("{}: a model's file ends in .onnx or .json", path.display())]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// There is a folder where a file is needed.
    #[error("{}: this is a folder; a model is a .onnx or .json file", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The content is at fault.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file, and what.
        problem: Problem,
    },
}

impl FormatError {
    /// A failure of the operating system at `path`.
    pub fn io(path: &Path, source: io::Error) -> FormatError {
        FormatError::Io { path: path.to_owned(), source }
    }

    /// A fault of the content of `path`.
    pub fn invalid(path: &Path, problem: Problem) -> FormatError {
        FormatError::Invalid { path: path.to_owned(), problem }
    }
}

/// A fault of a file's content: where it is and what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The place, from the outside in: `node "conv1": attribute "pads"`. Empty for the file as a whole.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl Problem {
    /// A fault whose place the callers add.
    pub fn new(what: impl fmt::Display) -> Problem {
        Problem { place: String::new(), what: what.to_string() }
    }

    /// The same fault, said of a place that encloses it.
    pub fn within(self, place: impl fmt::Display) -> Problem {
        let place = if self.place.is_empty() { place.to_string() } else { format!("{place}: {}", self.place) };
        Problem { place, what: self.what }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.what),
            place => write!(f, "{place}: {}", self.what),
        }
    }
}

/// How messages name a node: by its name, or by its operator and position if it has none.
pub(super) fn node_place(name: &str, op: &str, index: usize) -> String {
    if name.is_empty() { format!("node {index} ({op})") } else { format!("node {name:?} ({op})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_node_and_field() {
        let problem = Problem::new("expected a list").within("attribute \"pads\"").within(node_place("c", "Conv", 3));
        let error = FormatError::invalid(Path::new("m.json"), problem);
        assert_eq!(error.to_string(), "m.json: node \"c\" (Conv): attribute \"pads\": expected a list");
        assert_eq!(node_place("", "Relu", 2), "node 2 (Relu)");
    }
}
