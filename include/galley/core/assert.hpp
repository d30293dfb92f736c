// GALLEY_ASSERT: the check of an invariant that only a defect in galley can break.
#pragma once

#include <cassert>

/// Checks an invariant of galley itself in debug builds; where `NDEBUG` is defined the condition is
/// compiled and not evaluated.
///
/// Never used on what a caller passed in: bad input is answered with a status.
#ifdef NDEBUG
#define GALLEY_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#else
#define GALLEY_ASSERT(condition) assert(condition)
#endif
