//! One word that holds one of up to three owned pointers, told apart by its low bits.
//!
//! A small collection is then one word in its key's entry and one allocation, whatever its encoding: an
//! enum of pointers would take two words, and a box around it another allocation.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The bits of a pointer that say what it points to: allocations are aligned to 8 bytes.
const TAG_MASK: usize = 7;

/// An owned pointer that carries a tag in its low bits.
///
/// # Safety
///
/// The type is one word, `#[repr(transparent)]` over a `NonNull<u8>`, and the low three bits of that
/// word are `TAG` whenever it is borrowed or owned. Types that meet in one [`Word`] have different tags.
pub unsafe trait Tagged: Sized {
    /// The low three bits.
    const TAG: usize;
}

/// A box with a tag.
#[repr(transparent)]
pub struct Boxed<T, const TAG: usize>(NonNull<u8>, PhantomData<Box<T>>);

// SAFETY: `new` sets the low bits, and nothing changes the word afterwards.
unsafe impl<T, const TAG: usize> Tagged for Boxed<T, TAG> {
    const TAG: usize = TAG;
}

// SAFETY: it owns a `T` as a `Box<T>` does.
unsafe impl<T: Send, const TAG: usize> Send for Boxed<T, TAG> {}
// SAFETY: as above.
unsafe impl<T: Sync, const TAG: usize> Sync for Boxed<T, TAG> {}

impl<T, const TAG: usize> Boxed<T, TAG> {
    const FITS: () = assert!(align_of::<T>() > TAG_MASK && size_of::<T>() > 0 && TAG <= TAG_MASK);

    /// Boxes a value.
    pub fn new(value: T) -> Self {
        const { Self::FITS };
        let raw = NonNull::from(Box::leak(Box::new(value))).cast::<u8>();
        Self(raw.map_addr(|addr| addr | TAG), PhantomData)
    }

    fn pointer(&self) -> *mut T {
        self.0.as_ptr().map_addr(|addr| addr & !TAG_MASK).cast()
    }

    /// The value, without its box.
    pub fn into_inner(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: `new` made the pointer from a box, and `this` is not dropped.
        *unsafe { Box::from_raw(this.pointer()) }
    }
}

impl<T, const TAG: usize> std::ops::Deref for Boxed<T, TAG> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the pointer is that of a box which `self` owns.
        unsafe { &*self.pointer() }
    }
}

impl<T, const TAG: usize> std::ops::DerefMut for Boxed<T, TAG> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { &mut *self.pointer() }
    }
}

impl<T, const TAG: usize> Drop for Boxed<T, TAG> {
    fn drop(&mut self) {
        // SAFETY: `new` made the pointer from a box, and it is dropped once.
        drop(unsafe { Box::from_raw(self.pointer()) });
    }
}

impl<T: Clone, const TAG: usize> Clone for Boxed<T, TAG> {
    fn clone(&self) -> Self {
        Self::new((**self).clone())
    }
}

/// What there is none of: the third of two.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

// SAFETY: there is no value that could have other bits; no other type has this tag.
unsafe impl Tagged for Never {
    const TAG: usize = usize::MAX;
}

/// Which of the three it is.
#[derive(Clone, Copy, Debug)]
pub enum Form<A, B, C> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
    /// The third.
    Third(C),
}

/// One of up to three owned pointers, in one word.
#[repr(transparent)]
pub struct Word<A: Tagged, B: Tagged, C: Tagged = Never> {
    raw: NonNull<u8>,
    owns: PhantomData<(A, B, C)>,
}

// SAFETY: it owns an `A`, a `B` or a `C`.
unsafe impl<A: Tagged + Send, B: Tagged + Send, C: Tagged + Send> Send for Word<A, B, C> {}
// SAFETY: as above.
unsafe impl<A: Tagged + Sync, B: Tagged + Sync, C: Tagged + Sync> Sync for Word<A, B, C> {}

impl<A: Tagged, B: Tagged, C: Tagged> Word<A, B, C> {
    const FITS: () = assert!(
        size_of::<A>() == size_of::<usize>()
            && size_of::<B>() == size_of::<usize>()
            && (size_of::<C>() == size_of::<usize>() || C::TAG == Never::TAG)
            && A::TAG != B::TAG
            && A::TAG != C::TAG
            && B::TAG != C::TAG
    );

    fn wrap<T: Tagged>(value: T) -> Self {
        const { Self::FITS };
        let value = ManuallyDrop::new(value);
        // SAFETY: a `Tagged` is one word over a `NonNull<u8>`.
        let raw = unsafe { std::ptr::from_ref(&value).cast::<NonNull<u8>>().read() };
        debug_assert_eq!(raw.addr().get() & TAG_MASK, T::TAG);
        Self { raw, owns: PhantomData }
    }

    /// Holds a value of the first type.
    pub fn first(value: A) -> Self {
        Self::wrap(value)
    }

    /// Holds a value of the second type.
    pub fn second(value: B) -> Self {
        Self::wrap(value)
    }

    /// Holds a value of the third type.
    pub fn third(value: C) -> Self {
        Self::wrap(value)
    }

    fn tag(&self) -> usize {
        self.raw.addr().get() & TAG_MASK
    }

    /// Looks at what it holds.
    #[inline]
    pub fn get(&self) -> Form<&A, &B, &C> {
        let raw = std::ptr::from_ref(self);
        // SAFETY: the tag says which of the three was put in, and each is one word as this is.
        unsafe {
            match self.tag() {
                tag if tag == A::TAG => Form::First(&*raw.cast()),
                tag if tag == B::TAG => Form::Second(&*raw.cast()),
                _ => Form::Third(&*raw.cast()),
            }
        }
    }

    /// Looks at what it holds, to change it.
    #[inline]
    pub fn get_mut(&mut self) -> Form<&mut A, &mut B, &mut C> {
        let tag = self.tag();
        let raw = std::ptr::from_mut(self);
        // SAFETY: as in `get`, and the borrow is exclusive.
        unsafe {
            match tag {
                tag if tag == A::TAG => Form::First(&mut *raw.cast()),
                tag if tag == B::TAG => Form::Second(&mut *raw.cast()),
                _ => Form::Third(&mut *raw.cast()),
            }
        }
    }

    /// Takes out what it holds.
    pub fn into_form(self) -> Form<A, B, C> {
        let this = ManuallyDrop::new(self);
        let raw = std::ptr::from_ref(&*this);
        // SAFETY: as in `get`; `this` is not dropped, so the value is moved out once.
        unsafe {
            match this.tag() {
                tag if tag == A::TAG => Form::First(raw.cast::<A>().read()),
                tag if tag == B::TAG => Form::Second(raw.cast::<B>().read()),
                _ => Form::Third(raw.cast::<C>().read()),
            }
        }
    }
}

impl<A: Tagged, B: Tagged, C: Tagged> Drop for Word<A, B, C> {
    fn drop(&mut self) {
        // SAFETY: what is borrowed here is owned by this word and dropped once, with it.
        unsafe {
            match self.get_mut() {
                Form::First(value) => std::ptr::drop_in_place(value),
                Form::Second(value) => std::ptr::drop_in_place(value),
                Form::Third(value) => std::ptr::drop_in_place(value),
            }
        }
    }
}

impl<A, B, C> Clone for Word<A, B, C>
where
    A: Tagged + Clone,
    B: Tagged + Clone,
    C: Tagged + Clone,
{
    fn clone(&self) -> Self {
        match self.get() {
            Form::First(value) => Self::first(value.clone()),
            Form::Second(value) => Self::second(value.clone()),
            Form::Third(value) => Self::third(value.clone()),
        }
    }
}

impl<A: Tagged, B: Tagged, C: Tagged> fmt::Debug for Word<A, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word(tag {})", self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    type Counted = Word<Boxed<(u64, Rc<()>), 0>, Boxed<Rc<()>, 1>, Boxed<u64, 2>>;

    #[test]
    fn holds_each_of_the_three_and_drops_it_once() {
        let count = Rc::new(());
        let mut words = vec![
            Counted::first(Boxed::new((7, count.clone()))),
            Counted::second(Boxed::new(count.clone())),
            Counted::third(Boxed::new(9)),
        ];
        assert_eq!(size_of::<Counted>(), 8);
        words.extend(words.clone());
        assert_eq!(Rc::strong_count(&count), 5);
        let Form::First(first) = words[0].get_mut() else { panic!("it is the first") };
        (**first).0 += 1;
        let Form::First(first) = words[0].get() else { panic!("it is the first") };
        assert_eq!((**first).0, 8);
        let Form::Third(third) = words.pop().expect("six words").into_form() else {
            panic!("it is the third")
        };
        assert_eq!(third.into_inner(), 9);
        let second = words.remove(1).into_form();
        assert!(matches!(&second, Form::Second(second) if Rc::ptr_eq(second, &count)));
        drop(words);
        assert_eq!(Rc::strong_count(&count), 2);
        drop(second);
        assert_eq!(Rc::strong_count(&count), 1);
    }
}
