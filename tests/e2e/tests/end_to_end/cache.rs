//! `cache`: binary caches that teams share.

mod sign;
