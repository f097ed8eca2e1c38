//! Reading and writing graphs and tensors.
//!
//! [`load`] and [`save`] choose the format by the file's ending. A file becomes a [`model::Model`], which says what the
//! file says and nothing else.

mod base64;
mod dot;
mod error;
pub mod export;
mod files;
pub mod import;
mod json_attr;
mod json_data;
mod json_read;
mod json_tree;
mod json_write;
pub mod model;
mod onnx_file;
mod onnx_read;
mod onnx_scan;
mod onnx_tensor;
mod onnx_write;
pub mod opset;
pub mod proto;
pub mod safetensors;

use std::path::Path;

use bytes::Bytes;

pub use dot::dot;
pub use error::{FormatError, Problem};
pub use export::{ExportError, export};
pub use files::{Folder, check_writable, map_file, write_atomically};
pub use import::{ImportError, ImportOptions, ImportWarning, Imported, import};
pub use json_tree::check_json_size;
pub use json_write::write_json;
pub use model::Format;
use model::{Model, Source};
pub use onnx_file::write_inline as write_onnx;

/// A name that is not taken: the stem, or the stem with a number.
fn fresh_name(stem: &str, taken: impl Fn(&str) -> bool) -> String {
    if !stem.is_empty() && !taken(stem) {
        return stem.to_owned();
    }
    let numbered = (1u64..).map(|n| format!("{stem}_{n}"));
    numbered.into_iter().find(|name| !taken(name)).expect("some number is free")
}

/// A model and what its reader noticed.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// What the user should know, without the file's name.
    pub warnings: Vec<String>,
}

impl Format {
    /// The format of files with this ending (in any case).
    pub fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "onnx" => Some(Format::Onnx),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

fn format_of(path: &Path) -> Result<Format, FormatError> {
    Format::of(path).ok_or_else(|| {
        let path = path.to_owned();
        if path.is_dir() { FormatError::Folder { path } } else { FormatError::Ending { path } }
    })
}

/// Reads the model at `path`, a `.onnx` or a `.json` file. Files are memory-mapped: memory is used for structure and for
/// tensors that are not stored as plain bytes, not for weights.
///
/// # Errors
/// If the file cannot be read or its content is at fault; the message names file, node and field.
pub fn load(path: &Path) -> Result<Loaded, FormatError> {
    let format = format_of(path)?;
    let bytes = map_file(path).map_err(|e| FormatError::io(path, e))?;
    parse(format, bytes, Folder::of(path)).map_err(|problem| FormatError::invalid(path, problem))
}

/// Reads a model from the bytes of its file. Tensors in other files come from `folder`.
///
/// # Errors
/// If the content is at fault.
pub fn parse(format: Format, bytes: Bytes, mut folder: Folder) -> Result<Loaded, Problem> {
    let mut warnings = Vec::new();
    let mut model = match format {
        Format::Onnx => onnx_read::read(&bytes, &mut folder, &mut warnings)?,
        Format::Json => json_read::read(&bytes, &mut folder)?,
    };
    model.source = Some(Source { format, bytes, files: folder.into_files() });
    Ok(Loaded { model, warnings })
}

/// Writes the model to `path`, in the format of its ending: whole or not at all. A model that was read from a file of that
/// format and not changed since is written byte for byte.
///
/// # Errors
/// If the system refuses to write, or the format cannot hold the model.
pub fn save(model: &Model, path: &Path) -> Result<(), FormatError> {
    let format = format_of(path)?;
    if path.is_dir() {
        return Err(FormatError::Folder { path: path.to_owned() });
    }
    if let Some(source) = model.source.as_ref().filter(|s| s.format == format)
        && onnx_file::copy_source(source, path)?
    {
        return Ok(());
    }
    match format {
        Format::Onnx => onnx_file::save(model, path),
        Format::Json => json_write::save(model, path),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
