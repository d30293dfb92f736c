// The function does not give what the servable is said to give.
// expect: ServableFunction
#include <galley/core/servable.hpp>

#include <string>

const galley::Servable<int, std::string> right("name", [](int n) { return std::to_string(n); });
#ifdef GALLEY_MISTAKE
const galley::Servable<int, std::string> wrong("name", [](int n) { return n; });
#endif
