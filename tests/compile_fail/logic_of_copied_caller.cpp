// A coroutine that takes its servables by value.
// expect: RowCaller
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>

const auto half = galley::map("half", [](int n) { return n / 2; });
using Caller = galley::RowCaller<int, int>;
const auto right = galley::logic<int>(
    "right", [](int n, Caller& model) -> galley::RowTask<int> { co_return co_await model(n); },
    half);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::logic<int>(
    "wrong", [](int n, Caller model) -> galley::RowTask<int> { co_return co_await model(n); },
    half);
#endif
