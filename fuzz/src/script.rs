//! Raw input read as a script: one byte chooses a step, the following ones fill in its numbers. Past its end every
//! number is 0, so that any prefix of a script is a script.

use bytes::Bytes;

/// What is left of the script.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn small(&mut self) -> u64 {
        self.byte().unwrap_or(0).into()
    }

    /// One of several things.
    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.small() as usize % choices.len()].clone()
    }

    /// A number that is mostly small and sometimes as large as it can be.
    pub(crate) fn number(&mut self) -> u64 {
        match self.small() {
            value @ 0..=249 => value,
            value => u64::MAX >> ((value - 250) * 8),
        }
    }

    /// A length and so many bytes.
    pub(crate) fn bytes(&mut self) -> Bytes {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }
}
