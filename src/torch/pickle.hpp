// Pickle: what Python's pickle wrote, as data: nothing of it is called.
#pragma once

#include <galley/core/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1::detail {

/// A pickle's values, which refer to each other by number: they may be deep, and in circles.
class Pickle {
 public:
  using Index = std::uint32_t;

  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,  // one beyond 64 bits is `other`
    text,
    sequence,  // a tuple or list of `items`
    dict,      // key, value, key, value … in `items`
    global,    // a class or function, "module.name" in `text`
    object,    // what `items[0]` makes of `items[1]`
    stored,    // what lies outside the pickle under `items[0]`
    other
  };

  struct Node {
    Kind kind = Kind::none;
    std::int64_t integer = 0;
    std::string text = {};
    std::vector<Index> items = {};
  };

  /// Reads a pickle of protocol 2, which torch.save writes.
  ///
  /// Errors  data_loss: not a pickle, or cut; unimplemented: another protocol
  static Result<Pickle> read(std::string_view bytes);

  const Node& root() const noexcept { return nodes_[root_]; }
  const Node& operator[](Index index) const noexcept { return nodes_[index]; }

  /// What a value is, for an error's text: "an int", "a dict", "torch.nn.modules.linear.Linear".
  std::string what(const Node& node) const;

 private:
  friend class Unpickling;
  std::vector<Node> nodes_;
  Index root_ = 0;
};

}  // namespace galley::inline v1::detail
