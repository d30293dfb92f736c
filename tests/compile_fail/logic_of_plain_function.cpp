// A function that answers at once instead of a coroutine.
// expect: galley::RowLogic
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>

const auto half = galley::map("half", [](int n) { return n / 2; });
const auto right = galley::logic<int>(
    "right", [](int n, auto& model) -> galley::RowTask<int> { co_return co_await model(n); }, half);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::logic<int>(
    "wrong", [](int n, auto&) { return n; }, half);
#endif
