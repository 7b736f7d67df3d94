//! The work of the host, on its way to the fuel of the guest.

/// The work that the host did for a guest and that was not yet deducted from the guest's fuel.
///
/// A function that works for a guest [adds](Self::add) units here; one unit of work is one unit of
/// fuel. The adapter of an engine deducts them: with [`deduct`](Self::deduct) after each call of an
/// import where it sets the fuel of each slice itself or there are no slices, and with
/// [`charge`](Self::charge) before and after each call where the engine slices by itself.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::WorkMeter;
///
/// let mut meter = WorkMeter::default();
/// meter.add(300);
/// assert_eq!(meter.deduct(1_000), 700);
/// meter.add(900);
/// assert_eq!(meter.deduct(700), 0); // the slice is used up, and 200 units are left to deduct
/// assert_eq!(meter.owed(), 200);
/// ```
#[derive(Clone, Debug)]
pub struct WorkMeter {
    owed: u64,
    /// What the next call begins with as owed.
    of_next_call: u64,
    slice: u64,
    /// The engine's fuel when it began its last slice, as far as the meter knows.
    mark: u64,
}

impl WorkMeter {
    /// Units between two points where a guest yields, unless [set](Self::set_slice).
    pub const DEFAULT_SLICE: u64 = 100_000;

    /// Adds `units` of work.
    pub fn add(&mut self, units: u64) {
        self.owed = self.owed.saturating_add(units);
    }

    /// Adds `units` of work that is done before a call for that call, which [begins](Self::begin)
    /// with it.
    pub fn add_to_next_call(&mut self, units: u64) {
        self.of_next_call = self.of_next_call.saturating_add(units);
    }

    /// The units that were added and not yet deducted.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.owed
    }

    /// Takes the units that were added and not yet deducted. Nothing is owed then.
    #[must_use = "the guest has to be charged for them"]
    pub fn take(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Sets the units between two points where the guest yields. Zero counts as one.
    pub fn set_slice(&mut self, units: u64) {
        self.slice = units.max(1);
    }

    /// Begins a call of the guest with `fuel`, of which the engine begins its first slice. What is
    /// owed is forgotten, and what was [added for this call](Self::add_to_next_call) is owed:
    /// [deduct](Self::deduct) it from the fuel that the engine is given.
    pub fn begin(&mut self, fuel: u64) {
        self.owed = std::mem::take(&mut self.of_next_call);
        self.mark = fuel;
    }

    /// Deducts what is owed from the engine's fuel and returns the rest. What exceeds the fuel
    /// stays owed.
    #[must_use = "the engine has to be given this fuel"]
    pub fn deduct(&mut self, fuel: u64) -> u64 {
        let deducted = self.owed.min(fuel);
        self.owed -= deducted;
        fuel - deducted
    }

    /// What to do when an import is called and again when it returns, for an engine that has `fuel`
    /// left and yields by itself after each slice of the guest's own instructions. To set its fuel
    /// begins such a slice, so the fuel is set only when a slice is used up, and when less than a
    /// slice is left.
    ///
    /// A guest that is charged so runs less than two slices without a yield, if no call of an
    /// import costs more than one.
    pub fn charge(&mut self, fuel: u64) -> Charge {
        if self.owed > fuel {
            return Charge::OutOfFuel;
        }
        // The embedder may have added fuel.
        self.mark = self.mark.max(fuel);
        let used = (self.mark - fuel).saturating_add(self.owed);
        let left = fuel - self.owed;
        if used < self.slice && left >= self.slice {
            return Charge::Later;
        }
        self.owed = 0;
        self.mark = left;
        if used < self.slice {
            Charge::Set(left)
        } else {
            Charge::SetAndYield(left)
        }
    }
}

impl Default for WorkMeter {
    fn default() -> Self {
        Self {
            owed: 0,
            of_next_call: 0,
            slice: Self::DEFAULT_SLICE,
            mark: 0,
        }
    }
}

/// What an adapter does with the fuel of its engine: see [`WorkMeter::charge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an adapter must translate every variant"
)]
#[must_use = "the engine has to be given the fuel"]
pub enum Charge {
    /// Nothing yet.
    Later,
    /// Set the fuel to this.
    Set(u64),
    /// Set the fuel to this, then yield to the executor before the guest goes on.
    SetAndYield(u64),
    /// End the guest's call: it is out of fuel.
    OutOfFuel,
}

#[cfg(test)]
mod tests {
    use super::{Charge, WorkMeter};

    /// Runs imports of `work` units, with `between` units of the guest's own after each, and
    /// returns the most units of one poll. The engine yields every slice of the guest's own.
    fn longest_poll(slice: u64, work: u64, between: u64, n_calls: u64) -> u64 {
        let mut meter = WorkMeter::default();
        meter.set_slice(slice);
        let mut fuel = u64::MAX;
        meter.begin(fuel);
        let (mut interval, mut poll, mut longest) = (0, 0, 0);
        for _ in 0..n_calls {
            for work in [0, work] {
                meter.add(work);
                poll += work;
                longest = longest.max(poll);
                match meter.charge(fuel) {
                    Charge::Later => {}
                    Charge::Set(left) => (fuel, interval) = (left, 0),
                    Charge::SetAndYield(left) => (fuel, interval, poll) = (left, 0, 0),
                    Charge::OutOfFuel => panic!("there was enough fuel"),
                }
            }
            for _ in 0..between {
                fuel -= 1;
                interval += 1;
                poll += 1;
                longest = longest.max(poll);
                if interval > slice {
                    (interval, poll) = (0, 0);
                }
            }
        }
        longest
    }

    #[test]
    fn g37_a_poll_is_at_most_two_slices() {
        for work in [0, 1, 7, 50, 99, 100] {
            for between in [0, 1, 3, 60, 99, 100, 101, 250] {
                let longest = longest_poll(100, work, between, 200);
                assert!(
                    longest <= 201,
                    "{longest} units: {work} of work, {between} between"
                );
            }
        }
    }

    #[test]
    fn g37_all_work_is_deducted_before_the_last_slice() {
        let mut meter = WorkMeter::default();
        meter.set_slice(100);
        meter.begin(150);
        meter.add(20);
        assert_eq!(meter.charge(150), Charge::Later);
        meter.add(40);
        assert_eq!(meter.charge(150), Charge::Set(90));
        meter.add(90);
        assert_eq!(meter.charge(90), Charge::Set(0));
        meter.add(1);
        assert_eq!(meter.charge(0), Charge::OutOfFuel);
    }

    #[test]
    fn g37_a_call_begins_with_the_work_that_was_done_for_it() {
        let mut meter = WorkMeter::default();
        meter.set_slice(100);
        meter.add(7);
        meter.add_to_next_call(60);
        meter.begin(1_000);
        assert_eq!((meter.deduct(1_000), meter.owed()), (940, 0));
        meter.add(39);
        assert_eq!(meter.charge(940), Charge::Later);
        meter.add(1);
        let charged = meter.charge(940);
        assert_eq!(charged, Charge::SetAndYield(900), "both are of one slice");
        meter.begin(1_000);
        assert_eq!(meter.owed(), 0);
    }

    #[test]
    fn what_exceeds_the_fuel_of_a_slice_stays_owed() {
        let mut meter = WorkMeter::default();
        meter.add(150);
        assert_eq!((meter.deduct(100), meter.owed()), (0, 50));
        assert_eq!((meter.deduct(100), meter.owed()), (50, 0));
    }
}
