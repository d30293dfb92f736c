// The second stage takes another row type than the first gives.
// expect: FeedsInto
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>

#include <string>

const auto length = galley::map("length", [](const std::string& s) { return s.size(); });
const auto half = galley::map("half", [](std::size_t n) { return n / 2; });
const auto right = length | half;
#ifdef GALLEY_MISTAKE
const auto wrong = half | length;
#endif
