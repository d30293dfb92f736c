// A collapse that takes one item instead of all of a row.
// expect: galley::CollapsesFrom
#include <galley/compose/expand.hpp>
#include <galley/compose/map.hpp>

#include <vector>

const auto half = galley::map("half", [](int n) { return n / 2; });
const auto twice = [](const int& n) { return std::vector<int>{n, n}; };
const auto right = galley::expand(
    twice, half, [](const int&, const galley::Rows<int>& found) { return found[0]; });
#ifdef GALLEY_MISTAKE
const auto wrong = galley::expand(twice, half, [](const int&, int found) { return found; });
#endif
