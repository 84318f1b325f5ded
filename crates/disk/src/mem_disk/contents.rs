//! The bytes of one file.

use std::io::IoSlice;

const PAGE: usize = 4096;

type Page = Option<Box<[u8; PAGE]>>;

/// Bytes, in pages. Those that were never anything but zeros are not kept: log files are made of zeros, and many are never
/// filled.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Contents {
    pages: Vec<Page>,
    len: usize,
}

/// What was there before a change: the pages that it touched, and the length.
pub(super) struct Replaced {
    first: usize,
    pages: Vec<Page>,
    len: usize,
}

impl Contents {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Fills `buf` from `offset` on, as far as there is something.
    pub(super) fn read(&self, offset: usize, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.len.saturating_sub(offset));
        let mut rest = buf.get_mut(..len).unwrap_or_default();
        let mut at = offset;
        while !rest.is_empty() {
            let (page, from) = (at / PAGE, at % PAGE);
            let (piece, behind) = rest.split_at_mut(rest.len().min(PAGE - from));
            match self.pages.get(page).and_then(Option::as_ref) {
                Some(page) => piece.copy_from_slice(&page[from..from + piece.len()]),
                None => piece.fill(0),
            }
            at += piece.len();
            rest = behind;
        }
        len
    }

    /// So many bytes from `offset` on, or as many as there are.
    pub(super) fn range(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.min(self.len.saturating_sub(offset))];
        self.read(offset, &mut bytes);
        bytes
    }

    /// Writes, also behind the end.
    pub(super) fn put(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        self.len = self.len.max(end);
        self.pages.resize(self.len.div_ceil(PAGE), None);
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (page, from) = (at / PAGE, at % PAGE);
            let (piece, behind) = rest.split_at(rest.len().min(PAGE - from));
            let page = &mut self.pages[page];
            if page.is_some() || !is_zero(piece) {
                let page = page.get_or_insert_with(|| Box::new([0; PAGE]));
                page[from..from + piece.len()].copy_from_slice(piece);
            }
            at += piece.len();
            rest = behind;
        }
    }

    /// Writes the first `len` bytes of `parts`, and returns what that replaced.
    pub(super) fn replace(&mut self, offset: usize, parts: &[IoSlice<'_>], len: usize) -> Replaced {
        let replaced = self.take_pages(offset, offset + len);
        let (mut at, mut rest) = (offset, len);
        for part in parts {
            let part = part.get(..rest).unwrap_or(part);
            self.put(at, part);
            at += part.len();
            rest -= part.len();
        }
        replaced
    }

    /// Takes out the pages between two places, as far as there are any; a copy of those that reach beyond.
    fn take_pages(&mut self, from: usize, to: usize) -> Replaced {
        let first = from / PAGE;
        let behind = self.pages.iter_mut().enumerate().skip(first).take(to.div_ceil(PAGE) - first);
        let take = |(n, page): (usize, &mut Page)| match from <= n * PAGE && (n + 1) * PAGE <= to {
            true => page.take(),
            false => page.clone(),
        };
        Replaced { first, pages: behind.map(take).collect(), len: self.len }
    }

    /// Cuts, or extends with zeros.
    pub(super) fn resize(&mut self, len: usize) {
        self.pages.resize(len.div_ceil(PAGE), None);
        if let Some(page) = self.pages.get_mut(len / PAGE).and_then(Option::as_mut) {
            page[len % PAGE..].fill(0);
        }
        self.len = len;
    }

    /// [`resize`](Self::resize), which returns what that took away.
    pub(super) fn cut(&mut self, len: usize) -> Replaced {
        let replaced = self.take_pages(len, self.len.max(len).next_multiple_of(PAGE));
        self.resize(len);
        replaced
    }

    /// Puts back what was replaced; nothing that came after is there any more.
    pub(super) fn put_back(&mut self, replaced: &Replaced) {
        self.resize(replaced.len);
        let places = self.pages.iter_mut().skip(replaced.first);
        places.zip(&replaced.pages).for_each(|(place, page)| place.clone_from(page));
    }
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        let mut contents = Self::default();
        contents.put(0, &bytes);
        contents
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // In pieces that the processor looks at as a whole.
    bytes.chunks(256).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}
