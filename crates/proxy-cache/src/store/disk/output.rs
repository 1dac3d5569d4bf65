//! A file as it is written: blocks with their checksums, in few calls.

use std::fs::File;
use std::io;

use super::environment::Environment;
use super::format;

/// How much is gathered before it is written.
const GATHERED: usize = 256 << 10;

/// A file that is being written. It is made with its first bytes: a small response is one write.
pub(super) struct Output {
    id: u64,
    file: Option<File>,
    is_made: bool,
    gathered: Vec<u8>,
    /// Where in `gathered` the block begins that is not full.
    block_start: usize,
    block: u64,
    content: u64,
}

impl Output {
    pub(super) fn new(id: u64, header: Vec<u8>) -> Self {
        let block_start = header.len();
        Self { id, file: None, is_made: false, gathered: header, block_start, block: 0, content: 0 }
    }

    pub(super) fn push(&mut self, environment: &Environment, mut chunk: &[u8]) -> io::Result<()> {
        self.content += chunk.len() as u64;
        while !chunk.is_empty() {
            let room = format::BLOCK as usize - (self.gathered.len() - self.block_start);
            let (now, rest) = chunk.split_at(chunk.len().min(room));
            self.gathered.extend_from_slice(now);
            chunk = rest;
            if now.len() == room {
                self.end_block();
                if self.gathered.len() >= GATHERED {
                    self.flush(environment)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, environment: &Environment, trailers: &[u8]) -> io::Result<()> {
        if self.gathered.len() > self.block_start {
            self.end_block();
        }
        self.gathered.extend_from_slice(&format::end(self.id, self.content, trailers));
        self.flush(environment)?;
        self.file = None;
        self.gathered = Vec::new();
        Ok(())
    }

    /// Removes what was written.
    pub(super) fn abort(&mut self, environment: &Environment) {
        self.file = None;
        self.gathered = Vec::new();
        self.block_start = 0;
        if !std::mem::take(&mut self.is_made) {
            return;
        }
        let path = environment.directory.new_path(self.id);
        if let Err(error) = environment.medium.remove(&path) {
            tracing::warn!(%error, "the disk store can not remove an incomplete file");
        }
    }

    fn end_block(&mut self) {
        let data = &self.gathered[self.block_start..];
        let sum = format::block_sum(self.id, self.block, data);
        self.gathered.extend_from_slice(&sum);
        self.block_start = self.gathered.len();
        self.block += 1;
    }

    fn flush(&mut self, environment: &Environment) -> io::Result<()> {
        let medium = &environment.medium;
        if self.file.is_none() {
            self.file = Some(medium.create(&environment.directory.new_path(self.id))?);
            self.is_made = true;
        }
        if let Some(file) = &self.file {
            medium.write(file, &self.gathered)?;
        }
        self.gathered.clear();
        self.block_start = 0;
        Ok(())
    }
}
