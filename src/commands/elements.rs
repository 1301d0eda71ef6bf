//! What commands of several families do with the elements of collections.

use super::{CommandError, Context, Key};
use crate::data::listpack::Element;
use crate::resp::Reply;

/// Replies with an element as a bulk string.
#[inline]
pub fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Integer(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Records that a collection has lost elements, and deletes it if none are left.
pub fn removed(ctx: &mut Context<'_>, key: &Key<'_>, is_empty: bool) {
    if is_empty {
        ctx.store.remove(key);
    } else {
        ctx.store.changed(key);
    }
}

/// The most elements that a random choice with repetitions returns. The collection's size does not
/// bound the reply. Redis accepts any number.
const REPEATS_MAX: u64 = 1 << 25;

/// How many elements a random choice with repetitions is to give.
///
/// # Errors
/// If they are too many.
pub fn repeats(count: u64) -> Result<usize, CommandError> {
    match count {
        0..=REPEATS_MAX => Ok(count as usize),
        _ => Err(CommandError::fixed("ERR value is out of range")),
    }
}
