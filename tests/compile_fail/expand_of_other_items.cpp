// A row is split into items of another type than the servable takes.
// expect: galley::SplitsInto
#include <galley/compose/expand.hpp>
#include <galley/compose/map.hpp>

#include <string>
#include <vector>

const auto half = galley::map("half", [](int n) { return n / 2; });
const auto numbers = [](const std::string& s) { return std::vector<int>(s.begin(), s.end()); };
const auto letters = [](const std::string& s) { return std::vector<std::string>{s}; };
const auto count = [](const std::string&, const galley::Rows<int>& found) { return found.size(); };
const auto right = galley::expand(numbers, half, count);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::expand(letters, half, count);
#endif
