#include <src/torch/pickle.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

namespace galley::inline v1::detail {

// Operations of pickle, by their names in Python's pickle.py.
enum class Operation : unsigned char {
  mark = '(',
  stop = '.',
  bin_int = 'J',
  bin_int1 = 'K',
  bin_int2 = 'M',
  none = 'N',
  bin_persid = 'Q',
  reduce = 'R',
  bin_unicode = 'X',
  append = 'a',
  build = 'b',
  global = 'c',
  empty_dict = '}',
  appends = 'e',
  bin_get = 'h',
  long_bin_get = 'j',
  empty_list = ']',
  bin_put = 'q',
  long_bin_put = 'r',
  set_item = 's',
  tuple = 't',
  empty_tuple = ')',
  set_items = 'u',
  bin_float = 'G',
  proto = 0x80,
  new_object = 0x81,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  new_true = 0x88,
  new_false = 0x89,
  long1 = 0x8a
};

/// A pickle being read: the machine that pickle's operations are for, without what calls anything.
class Unpickling {
 public:
  explicit Unpickling(std::string_view bytes) : rest_(bytes) {}

  Result<Pickle> run();

 private:
  using Index = Pickle::Index;
  using Kind = Pickle::Kind;
  using Node = Pickle::Node;

  /// Does one operation; an error where there is none such, or not what it needs.
  Result<void> step(Operation operation);
  // Whether what an operation needs was there; nothing where it is another's.
  std::optional<bool> push_value(Operation operation);
  std::optional<bool> push_collected(Operation operation);
  std::optional<bool> change_top(Operation operation);
  std::optional<bool> remember(Operation operation);

  // The next bytes, or a failure.
  std::optional<std::string_view> take(std::size_t count) {
    if (count > rest_.size()) return std::nullopt;
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::optional<std::string_view> line() {
    const std::size_t end = rest_.find('\n');
    if (end == rest_.npos) return std::nullopt;
    const auto taken = take(end);
    rest_.remove_prefix(1);
    return taken;
  }
  std::optional<std::uint64_t> number(std::size_t count) {
    const auto bytes = take(count);
    if (!bytes.has_value()) return std::nullopt;
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) {
      value = value << 8U | static_cast<unsigned char>((*bytes)[i]);
    }
    return value;
  }

  bool push(Node node) {
    stack_.push_back(static_cast<Index>(pickle_.nodes_.size()));
    pickle_.nodes_.push_back(std::move(node));
    return true;
  }
  bool push_integer(std::int64_t value) { return push({.kind = Kind::integer, .integer = value}); }
  bool push_global();
  bool push_long();
  /// Pops, unless there is nothing above the last mark.
  std::optional<Index> pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) return std::nullopt;
    const Index top = stack_.back();
    stack_.pop_back();
    return top;
  }
  /// Pops what is above the last mark, and the mark.
  std::optional<std::vector<Index>> pop_to_mark() {
    if (marks_.empty()) return std::nullopt;
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> taken(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return taken;
  }
  /// Pops `count`, the last pushed last.
  std::optional<std::vector<Index>> pop_few(std::size_t count);
  bool push_sequence(std::optional<std::vector<Index>> items) {
    return items.has_value() && push({.kind = Kind::sequence, .items = *std::move(items)});
  }
  /// Puts items at the end of a collection that stays at the top.
  bool extend(Kind kind, std::optional<std::vector<Index>> items);
  bool make_object();
  bool has_top() const { return stack_.size() > (marks_.empty() ? 0 : marks_.back()); }

  std::string_view rest_;
  Pickle pickle_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;  // how many were on the stack
  std::unordered_map<std::uint64_t, Index> memo_;
};

namespace {

// Of tens of thousands of tensors; below what an Index counts.
constexpr std::size_t longest = 100'000'000;

Error bad_pickle(std::string_view what) {
  return Error(Status::data_loss, std::string("its pickle: ").append(what));
}

}  // namespace

Result<Pickle> Pickle::read(std::string_view bytes) {
  return Unpickling(bytes).run();
}

std::string Pickle::what(const Node& node) const {
  switch (node.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a bool";
    case Kind::integer:
      return "an int";
    case Kind::text:
      return "a text";
    case Kind::sequence:
      return "a list";
    case Kind::dict:
      return "a dict";
    case Kind::global:
      return node.text.substr(0, 100);
    case Kind::object:
      return nodes_[node.items[0]].kind == Kind::global ? what(nodes_[node.items[0]]) : "an object";
    default:
      return "another thing";
  }
}

Result<Pickle> Unpickling::run() {
  if (rest_.size() > longest) {
    return bad_pickle("expected at most " + std::to_string(longest) + " bytes");
  }
  if (rest_.size() < 2 || static_cast<Operation>(rest_[0]) != Operation::proto) {
    return bad_pickle("expected the beginning of a pickle");
  }
  if (rest_[1] != 2) {
    return Error(Status::unimplemented, "its pickle: expected protocol 2, which torch.save writes");
  }
  rest_.remove_prefix(2);
  for (;;) {
    const auto operation = number(1);
    if (!operation.has_value()) return bad_pickle("is cut");
    if (static_cast<Operation>(*operation) == Operation::stop) break;
    GALLEY_TRY(step(static_cast<Operation>(*operation)));
  }
  const auto root = pop();
  if (!root.has_value()) return bad_pickle("holds nothing");
  pickle_.root_ = *root;
  return std::move(pickle_);
}

Result<void> Unpickling::step(Operation operation) {
  for (const auto does : {&Unpickling::push_value, &Unpickling::push_collected,
                          &Unpickling::change_top, &Unpickling::remember}) {
    const std::optional<bool> done = (this->*does)(operation);
    if (done.has_value()) return *done ? Result<void>() : bad_pickle("is damaged");
  }
  return bad_pickle("has an operation that torch.save does not write, " +
                    std::to_string(static_cast<unsigned>(operation)));
}

std::optional<bool> Unpickling::push_value(Operation operation) {
  using enum Operation;
  const auto integer = [this](std::size_t bytes) {
    const auto value = number(bytes);
    if (!value.has_value()) return false;
    return push_integer(bytes == 4 ? static_cast<std::int32_t>(*value)
                                   : static_cast<std::int64_t>(*value));
  };
  switch (operation) {
    case none:
      return push({});
    case new_true:
    case new_false:
      return push({.kind = Kind::boolean, .integer = operation == new_true});
    case bin_int:
      return integer(4);
    case bin_int1:
      return integer(1);
    case bin_int2:
      return integer(2);
    case bin_float:
      return take(8).has_value() && push({.kind = Kind::other});
    case long1:
      return push_long();
    case bin_unicode: {
      const auto length = number(4);
      const auto text = length.has_value() ? take(*length) : std::nullopt;
      return text.has_value() && push({.kind = Kind::text, .text = std::string(*text)});
    }
    case empty_dict:
      return push({.kind = Kind::dict});
    case global:
      return push_global();
    default:
      return std::nullopt;
  }
}

bool Unpickling::push_global() {
  const auto module = line();
  const auto name = module.has_value() ? line() : std::nullopt;
  if (!name.has_value()) return false;
  return push({.kind = Kind::global, .text = std::string(*module).append(".").append(*name)});
}

bool Unpickling::push_long() {
  const auto length = number(1);
  if (!length.has_value()) return false;
  if (*length > 8) return take(*length).has_value() && push({.kind = Kind::other});
  const auto value = number(*length);
  if (!value.has_value()) return false;
  // Two's complement of as many bytes as there are.
  const auto unused = static_cast<unsigned>(64 - 8 * *length);
  return push_integer(*length == 0 ? 0 : static_cast<std::int64_t>(*value << unused) >> unused);
}

std::optional<bool> Unpickling::push_collected(Operation operation) {
  using enum Operation;
  switch (operation) {
    case mark:
      marks_.push_back(stack_.size());
      return true;
    case tuple:
      return push_sequence(pop_to_mark());
    case tuple1:
      return push_sequence(pop_few(1));
    case tuple2:
      return push_sequence(pop_few(2));
    case tuple3:
      return push_sequence(pop_few(3));
    case empty_list:
    case empty_tuple:
      return push({.kind = Kind::sequence});
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<Unpickling::Index>> Unpickling::pop_few(std::size_t count) {
  const std::size_t below = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() < below + count) return std::nullopt;
  const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<Index> taken(first, stack_.end());
  stack_.erase(first, stack_.end());
  return taken;
}

bool Unpickling::extend(Kind kind, std::optional<std::vector<Index>> items) {
  if (!items.has_value() || !has_top()) return false;
  Node& into = pickle_.nodes_[stack_.back()];
  if (into.kind == Kind::object) return true;  // whose own way of taking items is not known
  if (into.kind != kind || (kind == Kind::dict && items->size() % 2 != 0)) return false;
  into.items.insert(into.items.end(), items->begin(), items->end());
  return true;
}

bool Unpickling::make_object() {
  const auto arguments = pop();
  const auto callee = arguments.has_value() ? pop() : std::nullopt;
  if (!callee.has_value()) return false;
  const Node& called = pickle_.nodes_[*callee];
  if (called.kind == Kind::global && called.text == "collections.OrderedDict" &&
      pickle_.nodes_[*arguments].items.empty()) {
    return push({.kind = Kind::dict});
  }
  return push({.kind = Kind::object, .items = {*callee, *arguments}});
}

std::optional<bool> Unpickling::change_top(Operation operation) {
  using enum Operation;
  switch (operation) {
    case append:
      return extend(Kind::sequence, pop_few(1));
    case appends:
      return extend(Kind::sequence, pop_to_mark());
    case set_item:
      return extend(Kind::dict, pop_few(2));
    case set_items:
      return extend(Kind::dict, pop_to_mark());
    case build:  // attributes, such as a state dict's _metadata
      return pop().has_value() && has_top();
    case bin_persid: {
      const auto id = pop();
      return id.has_value() && push({.kind = Kind::stored, .items = {*id}});
    }
    case reduce:
    case new_object:
      return make_object();
    default:
      return std::nullopt;
  }
}

std::optional<bool> Unpickling::remember(Operation operation) {
  using enum Operation;
  const bool is_long = operation == long_bin_put || operation == long_bin_get;
  const bool puts = operation == bin_put || operation == long_bin_put;
  if (!puts && operation != bin_get && operation != long_bin_get) return std::nullopt;
  const auto name = number(is_long ? 4 : 1);
  if (!name.has_value()) return false;
  if (puts) {
    if (!has_top()) return false;
    memo_[*name] = stack_.back();
    return true;
  }
  const auto known = memo_.find(*name);
  if (known == memo_.end()) return false;
  stack_.push_back(known->second);
  return true;
}

}  // namespace galley::inline v1::detail
