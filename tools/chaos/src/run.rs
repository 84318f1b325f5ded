//! One run: servers, load, faults, a quiet end, and the history of it all.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep, sleep_until};

use crate::arena::{Ailments, Arena};
use crate::dump::dump;
use crate::event::{Event, Phase};
use crate::fault::{self, Injected};
use crate::history::Recorder;
use crate::load::{LOG, Load, REGISTER, create_assets};
use crate::plan::{Episode, Fault, Kind, Plan};

/// How long everything may take to be whole again.
const HEALING: Duration = Duration::from_secs(60);
/// Between two looks at what is not whole.
const LOOK: Duration = Duration::from_millis(50);
/// Acknowledgments before the first fault: a load that does nothing would prove nothing.
const PROGRESS: u64 = 100;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done.
    pub plan: Plan,
    /// How long faults are begun.
    pub length: Duration,
    /// How long each client rests between two operations.
    pub pace: Duration,
    /// Where histories go.
    pub dir: PathBuf,
}

/// How one fault went, beyond what the history says.
#[derive(Debug, Clone)]
pub struct Done {
    /// What it was.
    pub what: String,
    /// Why it did not fire, or could not be taken away.
    pub failure: Option<String>,
}

/// How a run went.
#[derive(Debug)]
pub struct Ran {
    /// The history.
    pub history: PathBuf,
    /// Its faults, in the order of their numbers.
    pub faults: Vec<Done>,
    /// What did not become whole although it had to.
    pub unhealed: Option<String>,
    arena: Arena,
}

impl Ran {
    /// Copies the servers' logs and configurations beside the history.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn keep_logs(&self) -> Result<PathBuf> {
        let kept = self.history.with_extension("servers");
        fs::create_dir_all(&kept)?;
        for entry in fs::read_dir(self.arena.cluster.dir())? {
            let path = entry?.path();
            if let Some(name) = path.file_name().filter(|_| path.is_file()) {
                fs::copy(&path, kept.join(name))?;
            }
        }
        Ok(kept)
    }
}

/// Runs once; `None`, and a line that says so, where file systems cannot be mounted.
///
/// # Errors
/// The servers did not start, or nothing could be read in the end.
pub async fn run(options: &Options) -> Result<Option<Ran>> {
    let plan = &options.plan;
    fs::create_dir_all(&options.dir)?;
    let history = options.dir.join(format!("seed-{}.jsonl", plan.seed));
    fs::write(history.with_extension("plan.json"), serde_json::to_vec_pretty(plan)?)?;
    let Some(arena) = Arena::start(plan.seed, plan.servers).await? else { return Ok(None) };
    let mut ran = Ran { history, faults: Vec::new(), unhealed: None, arena };
    ran.arena.cluster.keep_quiet();
    let result = go(options, plan, &mut ran).await;
    let closed = ran.arena.close().await;
    if result.is_err() {
        let kept = ran.keep_logs()?;
        eprintln!("the servers' logs are in {}", kept.display());
    }
    result.and(closed)?;
    Ok(Some(ran))
}

async fn go(options: &Options, plan: &Plan, ran: &mut Ran) -> Result<()> {
    let recorder = Arc::new(Recorder::create(&ran.history)?);
    let (seed, servers, seconds) = (plan.seed, plan.servers, options.length.as_secs());
    recorder.note(&Event::Run { seed, servers, seconds });
    let client = ran.arena.client();
    create_assets(&client, plan.replicas).await?;
    let clients = ran.arena.clients().to_vec();
    let mut load = Load::start(&clients, &recorder, options.pace);
    let mut stage = Stage { recorder: recorder.clone(), replicas: plan.replicas };
    let ailments = stage.heal(&mut ran.arena, PROGRESS).await;
    ensure!(ailments.is_empty(), "not whole before the first fault: {}", ailments.join("; "));

    let end = Instant::now() + options.length;
    for episode in &plan.episodes {
        sleep(episode.quiet).await;
        if Instant::now() >= end || ran.unhealed.is_some() {
            break;
        }
        stage.play(episode, ran).await;
    }
    load.stop_writing().await;
    // What was damaged is asked for: all of it must be there again, also what nobody has read since.
    let led = fault::victim_leads(&mut ran.arena).await;
    if ran.arena.victim.is_some() {
        let text = match &led {
            Ok(led) => format!("the damaged server leads {}", led.join(" ")),
            Err(error) => format!("{error:#}"),
        };
        let (at, number) = (recorder.now(), ran.faults.len());
        recorder.note(&Event::Fault { at, number, phase: Phase::Remark, text });
    }
    load.drain(&clients).await;
    let read = async |stream, damaged| dump(&clients, &recorder, stream, damaged).await;
    let mut wrong = Vec::new();
    for &stream in led.as_deref().unwrap_or_default() {
        wrong.extend(read(stream, true).await.err());
        wrong.extend(fault::lead_elsewhere(&mut ran.arena, stream).await.err());
    }
    wrong.extend(led.err());
    for stream in [LOG, REGISTER] {
        wrong.extend(read(stream, false).await.err());
    }
    if let Some(error) = wrong.first() {
        ran.unhealed.get_or_insert(format!("in the end: {error:#}"));
    }
    recorder.finish()
}

/// What the faults of a run have in common.
struct Stage {
    recorder: Arc<Recorder>,
    replicas: usize,
}

/// What is done when in an episode.
enum Step {
    Inject(usize),
    Remove(usize),
}

impl Stage {
    /// Puts the faults in and takes them away, at their times, and waits until everything is whole.
    async fn play(&mut self, episode: &Episode, ran: &mut Ran) {
        let first = ran.faults.len();
        let begun = Instant::now();
        let mut present: Vec<Option<Injected>> = episode.faults.iter().map(|_| None).collect();
        for fault in &episode.faults {
            ran.faults.push(Done { what: fault.act.to_string(), failure: None });
        }
        let inject = |(index, fault): (usize, &Fault)| (begun + fault.after, Step::Inject(index));
        let mut steps: Vec<_> = episode.faults.iter().enumerate().map(inject).collect();
        while let Some(next) = (0..steps.len()).min_by_key(|step| steps[*step].0) {
            let (at, step) = steps.remove(next);
            // Members cannot be brought back where other faults keep the leader from it.
            if let (Step::Remove(index), Some((later, _))) = (&step, steps.last())
                && episode.faults[*index].act.kind() == Kind::Membership
            {
                let later = at.max(*later) + LOOK;
                steps.push((later, step));
                continue;
            }
            sleep_until(at).await;
            let (index, result) = match step {
                Step::Inject(index) => {
                    let at = self.recorder.now();
                    let injected = fault::inject(&episode.faults[index], &mut ran.arena).await;
                    let result = injected.map(|injected| {
                        let text = format!("{}: {}", episode.faults[index].act, injected.proof);
                        self.note(at, first + index, Phase::Injected, text);
                        present[index] = Some(injected);
                        // Some take a while until they are there.
                        let end = Instant::now() + episode.faults[index].hold;
                        steps.push((end, Step::Remove(index)));
                    });
                    (index, result)
                }
                Step::Remove(index) => {
                    let Some(injected) = present[index].take() else { continue };
                    let removed = fault::remove(injected, &mut ran.arena).await;
                    let at = self.recorder.now();
                    let result =
                        removed.map(|text| self.note(at, first + index, Phase::Removed, text));
                    (index, result)
                }
            };
            if let Err(error) = result {
                let at = self.recorder.now();
                self.note(at, first + index, Phase::Failed, format!("{error:#}"));
                ran.faults[first + index].failure = Some(format!("{error:#}"));
            }
        }
        self.settle(episode, first, ran).await;
    }

    /// Waits until everything is whole.
    async fn settle(&mut self, episode: &Episode, first: usize, ran: &mut Ran) {
        let ailments = self.heal(&mut ran.arena, 1).await;
        let mut phase = Phase::Healed;
        if !ailments.is_empty() {
            phase = Phase::NotHealed;
            ran.unhealed = Some(ailments.join("; "));
        }
        let at = self.recorder.now();
        for index in 0..episode.faults.len() {
            self.note(at, first + index, phase, ailments.join("; "));
        }
    }

    /// Looks until nothing ails and so many more messages were acknowledged; what ails in the end.
    async fn heal(&self, arena: &mut Arena, progress: u64) -> Ailments {
        let deadline = Instant::now() + HEALING;
        let goal = self.recorder.acknowledged() + progress;
        loop {
            let mut ailments = arena.ailments(self.replicas).await;
            if self.recorder.acknowledged() < goal {
                ailments.push("nothing is acknowledged".into());
            }
            if ailments.is_empty() || Instant::now() >= deadline {
                return ailments;
            }
            sleep(LOOK).await;
        }
    }

    fn note(&self, at: u64, index: usize, phase: Phase, text: String) {
        self.recorder.note(&Event::Fault { at, number: index + 1, phase, text });
    }
}
