//! A thread of the node that does not run for a while, as if the system did not let it.

use std::fs;
use std::marker::PhantomData;
use std::ptr::null_mut;

use super::{TestNode, skip};

/// The thread goes on when this is dropped. Stays on the test's thread: that one holds the other.
pub struct Standstill {
    thread: i32,
    _here: PhantomData<*const ()>,
}

impl Standstill {
    /// Stops the node's thread of this name. None, after [`skip`], where nobody may hold it.
    pub fn of(node: &TestNode, name: &str) -> Option<Standstill> {
        let all = format!("/proc/{}/task", node.pid());
        let thread = fs::read_dir(all)
            .expect("a running process")
            .map(|entry| entry.expect("a thread").path())
            .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == name));
        let thread = thread.expect("a thread of that name");
        let thread = thread
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let thread: i32 = thread.expect("a number");
        if ask(libc::PTRACE_SEIZE, thread) != 0 {
            let why = std::io::Error::last_os_error();
            skip(&format!(
                "a thread that stands still needs ptrace (CAP_SYS_PTRACE, or \
                 kernel.yama.ptrace_scope=0): {why}"
            ));
            return None;
        }
        assert_eq!(ask(libc::PTRACE_INTERRUPT, thread), 0);
        // SAFETY: no status is asked for.
        let waited = unsafe { libc::waitpid(thread, null_mut(), libc::__WALL) };
        assert_eq!(waited, thread);
        Some(Standstill {
            thread,
            _here: PhantomData,
        })
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        // The process may have ended by now.
        ask(libc::PTRACE_DETACH, self.thread);
    }
}

fn ask(request: u32, thread: i32) -> i64 {
    let nothing = null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of this process.
    unsafe { libc::ptrace(request, thread, nothing, nothing) }
}
