// GALLEY_ASSERT: the check of an invariant that only a defect in galley can break.
#pragma once

#include <cassert>

/// Checks an invariant of galley itself in debug builds; vanishes when `NDEBUG` is defined.
///
/// Never used on what a caller passed in: bad input is answered with a status.
#define GALLEY_ASSERT(condition) assert(condition)
