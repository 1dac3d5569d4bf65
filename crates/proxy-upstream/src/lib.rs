//! The client side: resolve, guard, connect, pool, select, forward.
