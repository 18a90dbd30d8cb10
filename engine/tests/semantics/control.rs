//! The levers of the kinds of these tests.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use flow_engine::StageError;

/// Called in the middle of an action of `source`, `map` or `tweak`, with the number of calls so far.
type Hook = Box<dyn Fn(u32) + Send>;

/// Called once instead of an action, or before it.
type Nth = Box<dyn Fn() -> Result<(), StageError> + Send>;

/// What a test can change about the kinds.
pub struct Control {
    /// Version of kind `map`.
    pub version: AtomicU32,
    /// How often any kind ran.
    pub ran: AtomicU32,
    /// Not zero: folders are listed in an order that this number decides.
    pub shuffle: AtomicU32,
    nth: Mutex<Option<(u32, Nth)>>,
    hook: Mutex<Option<Hook>>,
    hooked: AtomicU32,
}

impl Control {
    /// Version 1, no hook.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU32::new(1),
            ran: AtomicU32::new(0),
            shuffle: AtomicU32::new(0),
            nth: Mutex::default(),
            hook: Mutex::default(),
            hooked: AtomicU32::new(0),
        })
    }

    /// Sets the hook.
    pub fn hook(&self, hook: impl Fn(u32) + Send + 'static) {
        self.hooked.store(0, Ordering::SeqCst);
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Has the `n`-th action from now on begin with this, once.
    pub fn nth(&self, n: u32, act: impl Fn() -> Result<(), StageError> + Send + 'static) {
        let at = self.ran.load(Ordering::SeqCst) + n;
        *self.nth.lock().unwrap() = Some((at, Box::new(act)));
    }

    /// Takes that back; false if it was called.
    pub fn never(&self) -> bool {
        self.nth.lock().unwrap().take().is_some()
    }

    /// Counts an action.
    pub fn begin(&self) -> Result<(), StageError> {
        let count = self.ran.fetch_add(1, Ordering::SeqCst) + 1;
        let act = self.nth.lock().unwrap().take_if(|(at, _)| *at <= count);
        act.map_or(Ok(()), |(_, act)| act())
    }

    /// Removes the hook.
    pub fn unhook(&self) {
        *self.hook.lock().unwrap() = None;
    }

    /// Calls the hook.
    pub fn call(&self) {
        if let Some(hook) = &*self.hook.lock().unwrap() {
            hook(self.hooked.fetch_add(1, Ordering::SeqCst) + 1);
        }
    }
}
