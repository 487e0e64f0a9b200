//! A single text with placeholders in it: the label before each line of a command, or the directory in which it runs.

use super::placeholder::{Filling, refuse_unknown};
use super::{Piece, Syntax, Template, cut, vec_of};
use bivouac::{Error, Result};

#[derive(Debug)]
pub(crate) struct Label {
    given: String,
    pieces: Vec<Piece>,
}

impl Label {
    /// The text of an option, in the syntax of this command. Only the command itself may ask how many commands there are.
    pub(crate) fn new(given: &str, template: &Template) -> Result<Self> {
        refuse_unknown(given.as_bytes(), &template.syntax, false)?;
        let pieces = cut(given.as_bytes(), &template.syntax);
        for piece in &pieces {
            if let Piece::Gap(placeholder) = piece {
                placeholder.check(template.syntax.columns)?;
                if placeholder.asks_for_total() && !template.asks_for_total() {
                    return Err(Error::usage(given, "{##} and {0#} are for the command")
                        .advise("{#} is the number of this one"));
                }
            }
        }
        Ok(Self { given: given.to_string(), pieces })
    }

    pub(crate) fn item() -> Self {
        let given = "{}".to_string();
        Self { pieces: cut(given.as_bytes(), &Syntax::default()), given }
    }

    pub(crate) fn given(&self) -> &str {
        &self.given
    }

    pub(crate) fn is_constant(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// For the `number`th command, in this slot. Several words stand with blanks between them.
    pub(crate) fn fill(&self, template: &Template, words: &[Vec<u8>], number: u64, slot: usize) -> Vec<u8> {
        vec_of(&self.pieces, &Filling { words, number, slot, total: template.total }).join(&b' ')
    }
}
