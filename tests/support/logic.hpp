// Coroutines that tests of logic share.
#pragma once

#include <galley/compose/logic.hpp>

namespace support {

/// Asks the first; where a tenth of what it says is odd, the second with the same, and adds.
inline constexpr auto second_for_odd = [](int n, auto& first,
                                          auto& second) -> galley::RowTask<int> {
  const galley::Result<int> a = co_await first(n);
  if (!a.has_value() || *a / 10 % 2 == 0) co_return a;
  const galley::Result<int> b = co_await second(n);
  if (!b.has_value()) co_return b;
  co_return *a + *b + 1;
};

/// n calls of the model, then their sum.
inline galley::RowTask<int> as_often(int n, galley::RowCaller<int, int>& model) {
  int sum = 0;
  for (int i = 0; i < n; ++i) {
    const galley::Result<int> found = co_await model(i);
    if (!found.has_value()) co_return found.error();
    sum += *found;
  }
  co_return sum;
}

}  // namespace support
