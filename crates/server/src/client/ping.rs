//! When to ask a silent client whether it is there.

use std::time::Duration;

use tokio::time::Instant;

/// The first ping comes this soon after the connection, to learn its round-trip time.
const FIRST_PING: Duration = Duration::from_secs(1);

/// The pings of one connection. It does not read the clock and sends nothing itself.
#[derive(Debug)]
pub(super) struct Pings {
    interval: Duration,
    max_unanswered: u32,
    unanswered: u32,
    next: Instant,
    last_input: Instant,
    sent: Option<Instant>,
    round_trip: Option<Duration>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// Too many pings were left unanswered.
    Stale,
}

impl Pings {
    pub(super) fn new(interval: Duration, max_unanswered: u32, now: Instant) -> Self {
        Self {
            interval,
            max_unanswered,
            unanswered: 0,
            next: now + interval.min(FIRST_PING),
            last_input: now,
            sent: None,
            round_trip: None,
        }
    }

    /// Takes over changed settings.
    pub(super) fn change(&mut self, interval: Duration, max_unanswered: u32, now: Instant) {
        self.interval = interval;
        self.max_unanswered = max_unanswered;
        self.next = self.next.min(now + interval);
    }

    /// When to ask [`due`](Self::due) next.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// The time between the last answered ping and its answer.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Something arrived.
    pub(super) fn note_input(&mut self, now: Instant) {
        self.last_input = now;
    }

    /// An answer arrived.
    pub(super) fn note_pong(&mut self, now: Instant) {
        self.unanswered = 0;
        if let Some(sent) = self.sent.take() {
            self.round_trip = Some(now - sent);
        }
    }

    /// Says what is due at `now`, and takes it as done.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        self.next = now + self.interval;
        // A client that is heard from needs no question, once its distance is known.
        let was_heard = now - self.last_input < self.interval;
        if was_heard && self.round_trip.is_some() {
            return Due::Nothing;
        }
        if self.unanswered >= self.max_unanswered {
            return Due::Stale;
        }
        self.unanswered += 1;
        self.sent = Some(now);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_silent_client_is_stale_after_as_many_pings_as_it_may_ignore() {
        let start = Instant::now();
        let mut pings = Pings::new(INTERVAL, 2, start);
        assert_eq!(pings.due(start), Due::Nothing);
        let mut said = Vec::new();
        for _ in 0..3 {
            said.push(pings.due(pings.deadline()));
        }
        assert_eq!(said, [Due::Ping, Due::Ping, Due::Stale]);
    }

    #[test]
    fn an_answer_tells_the_distance_and_a_busy_client_is_not_asked_again() {
        let start = Instant::now();
        let mut pings = Pings::new(INTERVAL, 2, start);
        let first = pings.deadline();
        assert_eq!(first, start + FIRST_PING);
        assert_eq!(pings.due(first), Due::Ping);
        pings.note_pong(first + Duration::from_millis(3));
        assert_eq!(pings.round_trip(), Some(Duration::from_millis(3)));

        pings.note_input(pings.deadline() - Duration::from_secs(1));
        assert_eq!(pings.due(pings.deadline()), Due::Nothing);
        assert_eq!(pings.due(pings.deadline()), Due::Ping, "silent for a whole interval");
    }
}
