//! The signals of this very process. A test binary of its own, since they belong to a whole process.

use flotilla_server::signals::{ServerSignal, SignalReceiver};
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn every_signal_arrives_and_none_ends_the_process() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut receiver = SignalReceiver::register().unwrap();
        for (sent, received) in [
            (Signal::TERM, ServerSignal::Terminate),
            (Signal::INT, ServerSignal::Interrupt),
            (Signal::HUP, ServerSignal::Reload),
            (Signal::USR1, ServerSignal::ReopenLog),
            (Signal::USR2, ServerSignal::LameDuck),
        ] {
            kill_process(getpid(), sent).unwrap();
            assert_eq!(receiver.next().await, received);
        }
    });
}
