// A row type whose own Rows lacks what a batch must offer.
// expect: (Row|ServableFunction)
#include <galley/core/servable.hpp>

struct Half {
  int value;
};
template <>
class galley::Rows<Half> {
 public:
  using value_type = Half;
  std::size_t size() const { return 0; }
};

const galley::Servable right("name", [](int n) { return n; });
#ifdef GALLEY_MISTAKE
const galley::Servable wrong("name", [](Half half) { return half.value; });
#endif
