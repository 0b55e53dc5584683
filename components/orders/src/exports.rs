//! The task that finishes or undoes what was left.

use provesi_sdk::worker::Worker;

use crate::{RECOVER, placement};

struct Component;

provesi_sdk::worker::export_worker!(Component with_types_in provesi_sdk::worker);

impl Worker for Component {
    fn run(task: String) -> Result<(), String> {
        provesi_sdk::report_panics();
        if task != RECOVER {
            return Err(format!("there is no task {task:?}"));
        }
        match placement::recover() {
            Ok(0) => Ok(()),
            Ok(left) => Err(format!("{left} orders wait for a peer")),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}
