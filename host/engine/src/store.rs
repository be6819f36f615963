//! The state of one guest instance. Every call gets a new one, so nothing survives from one fetch
//! to another.

use std::time::Duration;

use fetchhost_policy::Limits;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView,
    WasiView,
};
use wasmtime_wasi_io::IoView;

use crate::capture::Tail;
use crate::limits::MemoryLimiter;
use crate::session::Fetch;
use crate::trap::Stop;

/// After this much fuel a guest lets others run: time-outs, progress bars, other guests. A few
/// milliseconds.
const FUEL_PER_TURN: u64 = 10_000_000;

/// Bytes that one call may hand over; above what any function accepts, so that those say it first.
const CALL_BYTES: usize = 32 * 1024 * 1024;

/// Random bytes in one call.
const RANDOM_BYTES: u64 = 64 * 1024;

/// What the host functions of one instance work on.
pub(crate) struct Host {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    memory: MemoryLimiter,
    /// Present in `fetch`, absent in `describe`.
    fetch: Option<Fetch>,
}

impl Host {
    /// The fetch that the guest runs for. While a module describes itself there is none, and it has
    /// to do without. Every host function asks for it, and so every call counts.
    pub(crate) fn fetch(&mut self) -> Result<&mut Fetch, Stop> {
        let (_, fetch) = self.parts()?;
        Ok(fetch)
    }

    /// Resources and fetch at once, for functions that need both.
    pub(crate) fn parts(&mut self) -> Result<(&mut ResourceTable, &mut Fetch), Stop> {
        let (table, fetch) = self.parts_again()?;
        fetch.count_call()?;
        Ok((table, fetch))
    }

    /// The same for a second look in one call, which counts once.
    pub(crate) fn parts_again(&mut self) -> Result<(&mut ResourceTable, &mut Fetch), Stop> {
        let fetch = self.fetch.as_mut().ok_or(Stop::NotWhileDescribing)?;
        Ok((&mut self.table, fetch))
    }

    pub(crate) fn into_parts(self) -> (ResourceTable, Option<Fetch>) {
        (self.table, self.fetch)
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl IoView for Host {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// A store for `describe`, when `fetch` is absent, or for `fetch`; and what its guest will print.
pub(crate) fn new(
    engine: &wasmtime::Engine,
    limits: &Limits,
    fetch: Option<Fetch>,
) -> wasmtime::Result<(Store<Host>, Tail)> {
    let printed = Tail::default();
    // Nothing is inherited: no environment, no arguments, no folder, no network, an empty input.
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(printed.clone())
        .stderr(printed.clone())
        .max_random_size(RANDOM_BYTES);
    if fetch.is_none() {
        // The description is kept per module, so it must be the same wherever and whenever it is
        // made.
        wasi.wall_clock(Standstill)
            .monotonic_clock(Standstill)
            .secure_random(Deterministic::new(vec![0]))
            .insecure_random(Deterministic::new(vec![0]))
            .insecure_random_seed(0);
    }
    let mut table = ResourceTable::new();
    table.set_max_capacity(usize::try_from(limits.table_entries).unwrap_or(usize::MAX));
    let host = Host {
        wasi: wasi.build(),
        table,
        memory: MemoryLimiter::new(limits),
        fetch,
    };
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.memory);
    store.set_fuel(limits.fuel)?;
    store.fuel_async_yield_interval(Some(FUEL_PER_TURN))?;
    store.set_hostcall_fuel(CALL_BYTES);
    Ok((store, printed))
}

/// Clocks that stand still.
struct Standstill;

impl HostWallClock for Standstill {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Standstill {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
