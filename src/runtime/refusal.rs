//! Panics of tch that are errors of libtorch. Where a call of tch takes a scalar, the scalar is dropped before the error of
//! the call is fetched, and the drop unwraps that error: a lack of memory, say, would end the program.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use super::kernels::RunError;

/// How the message of such a panic begins.
const MARK: &str = "called `Result::unwrap()` on an `Err` value: Torch(";

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`, and gives back as an error what libtorch said if tch panics with it. Other panics go on.
pub(super) fn catch<T>(call: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    CATCHING.set(outer);
    result.unwrap_or_else(|payload| match payload.downcast_ref::<String>().and_then(|text| text.strip_prefix(MARK)) {
        Some(said) => {
            // The message is quoted, with the stack of libtorch behind its first line.
            let first = said.trim_start_matches('"').split("\\n").next().unwrap_or_default();
            Err(RunError::Torch(first.trim_end_matches(['"', ')']).to_owned()))
        }
        None => panic::resume_unwind(payload),
    })
}

/// Whether a panic with this message is about to become an error, so that it is not to be reported as a panic.
pub fn becomes_an_error(message: &str) -> bool {
    CATCHING.get() && message.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_lack_of_memory_is_an_error_where_a_scalar_is_an_argument() {
        let made = catch(|| Ok(Tensor::f_full([1i64 << 50], 1.0, (Kind::Double, Device::Cpu))?));
        let message = made.unwrap_err().to_string();
        assert!(message.contains("allocate memory") && !message.contains("frame #"), "{message}");
    }

    #[test]
    fn other_panics_go_on() {
        let caught = panic::catch_unwind(|| catch(|| -> Result<(), RunError> { panic!("ours") }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"ours"));
        assert!(!becomes_an_error(MARK), "outside of a call it is a fault");
    }
}
