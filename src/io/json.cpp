#include <galley/core/result.hpp>
#include <galley/io/value.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t longest_shown = 60;

/// Cut for a message, at a whole character.
std::string shortened(std::string_view text) {
  if (text.size() <= longest_shown) return std::string(text);
  std::size_t end = longest_shown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::string as_json(std::string_view text) {
  return Json(shortened(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_identifier(std::string_view name) {
  if (name.empty() || name.size() > longest_shown || (name[0] >= '0' && name[0] <= '9')) {
    return false;
  }
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

std::string step(std::string_view name) {
  return is_identifier(name) ? "." + std::string(name) : "[" + as_json(name) + "]";
}

/// "$.stages[2]" of its steps; of a path longer than one reads, its ends.
std::string joined(const std::vector<std::string>& steps) {
  constexpr std::size_t most_before = 200, most_after = 150;
  std::string before = "$", after;
  std::size_t first = 0, last = steps.size();
  while (first < last && before.size() + steps[first].size() <= most_before) {
    before += steps[first++];
  }
  while (last > first && after.size() + steps[last - 1].size() <= most_after) {
    after.insert(0, steps[--last]);
  }
  return before + (first < last ? "..." : "") + after;
}

std::string step(std::size_t index) {
  return "[" + std::to_string(index) + "]";
}

/// "line 3, column 7" of a byte of the text.
std::string place(std::string_view text, std::size_t byte) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < byte && i < text.size(); ++i) {
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// Builds a value of the parser's events. Keeps to the limits; never recurses.
class Builder {
 public:
  Builder(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Result<Value> result(bool parsed) && {
    if (parsed && !error_.has_value()) return std::move(root_);
    if (error_.has_value()) return *std::move(error_);
    return Error(Status::invalid_argument, "$: not JSON");
  }

  // The events, by the parser's names.
  bool null() { return add(Value()) != nullptr; }
  bool boolean(bool value) { return add(Value(value)) != nullptr; }
  bool number_integer(std::int64_t value) { return add(Value(value)) != nullptr; }
  bool number_unsigned(std::uint64_t value) {
    if (value <= INT64_MAX) return number_integer(static_cast<std::int64_t>(value));
    return add(Value(static_cast<double>(value))) != nullptr;
  }
  bool number_float(double value, const std::string&) { return add(Value(value)) != nullptr; }
  bool string(std::string& value) { return add(Value(std::move(value))) != nullptr; }
  bool binary(Json::binary_t&) { return fail("binary data is no JSON"); }
  bool start_object(std::size_t) { return open(Value(Value::Object())); }
  bool start_array(std::size_t) { return open(Value(Value::List())); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    Open& top = open_.back();
    if (!top.names.insert(name).second) {
      return fail("two members are named " + as_json(name));
    }
    top.next = std::move(name);
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& why) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    std::string_view what = why.what();
    if (const auto at = what.find("] "); at != what.npos) what.remove_prefix(at + 2);
    if (const auto at = what.find(": "); at != what.npos) what.remove_prefix(at + 2);
    const std::size_t before = byte == 0 ? 0 : byte - 1;
    std::string shown(what.substr(0, 200));
    for (char& c : shown) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    }
    return fail("not JSON: " + place(text_, before) + ": " + shown);
  }

 private:
  struct Open {
    Value* value;
    std::set<std::string> names = {};
    std::string next = {};  // the member that comes
  };

  bool fail(const std::string& what) {
    if (!error_.has_value()) error_ = Error(Status::invalid_argument, path() + ": " + what);
    return false;
  }

  /// The place of the value that comes next.
  std::string path() const {
    std::vector<std::string> steps;
    for (const Open& open : open_) {
      if (const Value::List* list = open.value->list()) {
        steps.push_back(step(list->size() - (&open == &open_.back() ? 0 : 1)));
      } else if (!open.next.empty()) {
        steps.push_back(step(open.next));
      }
    }
    return joined(steps);
  }

  /// Puts a value where it belongs; null where there are too many.
  Value* add(Value value) {
    if (++count_ > limits_.max_values) {
      fail("the document has more than " + std::to_string(limits_.max_values) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Value& into = *open_.back().value;
    if (Value::List* list = into.list()) return &list->emplace_back(std::move(value));
    return &into.set(open_.back().next, std::move(value));
  }
  bool open(Value value) {
    if (open_.size() >= limits_.max_depth) {
      return fail("nested deeper than " + std::to_string(limits_.max_depth) + " lists and objects");
    }
    Value* at = add(std::move(value));
    if (at == nullptr) return false;
    open_.push_back({at});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const JsonLimits& limits_;
  Value root_;
  std::vector<Open> open_;  // nothing is added to what lies around the innermost while it is open
  std::size_t count_ = 0;
  std::optional<Error> error_;
};

Json to_nlohmann(const Value& value) {
  switch (value.type()) {
    case Value::Type::null:
      return nullptr;
    case Value::Type::boolean:
      return *value.boolean();
    case Value::Type::integer:
      return *value.integer();
    case Value::Type::number:
      return *value.number();
    case Value::Type::text:
      return *value.text();
    case Value::Type::list: {
      Json list = Json::array();
      for (const Value& item : *value.list()) list.push_back(to_nlohmann(item));
      return list;
    }
    case Value::Type::object: {
      Json object = Json::object();
      for (const Value::Member& member : *value.object()) {
        object[member.name] = to_nlohmann(member.value);
      }
      return object;
    }
  }
  return nullptr;
}

}  // namespace

Result<Value> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error(Status::invalid_argument, "$: expected at most " +
                                               std::to_string(limits.max_bytes) + " bytes, got " +
                                               std::to_string(text.size()));
  }
  // The parser takes a null byte for the end, whatever comes behind it.
  if (const std::size_t null = text.find('\0'); null != text.npos) {
    return Error(Status::invalid_argument,
                 "$: expected JSON, got a null byte at offset " + std::to_string(null));
  }
  Builder builder(text, limits);
  const bool parsed = Json::sax_parse(text, &builder);
  return std::move(builder).result(parsed);
}

std::string to_json(const Value& value) {
  return to_nlohmann(value).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string to_json_line(const Value& value) {
  return to_nlohmann(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string summary(const Value& value) {
  switch (value.type()) {
    case Value::Type::list:
      return value.list()->empty() ? "an empty list" : "a list";
    case Value::Type::object:
      return "an object";
    case Value::Type::text:
      return as_json(*value.text());
    default:
      return to_json_line(value);
  }
}

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t most = 500;
  if (names.empty()) return "none";
  std::string all = shortened(names[0]);
  std::size_t listed = 1;
  for (; listed < names.size() && all.size() < most; ++listed) {
    all += ", " + shortened(names[listed]);
  }
  if (listed < names.size()) all += " and " + std::to_string(names.size() - listed) + " more";
  return all;
}

std::string Path::to_text() const {
  std::vector<std::string> steps;
  for (const Path* at = this; at->above_ != nullptr; at = at->above_) {
    steps.push_back(at->name_.data() == nullptr ? step(at->index_) : step(at->name_));
  }
  std::reverse(steps.begin(), steps.end());
  return joined(steps);
}

Error Path::error(std::string_view what) const {
  return Error(Status::invalid_argument, to_text() + ": " + std::string(what));
}

Error Path::wrong(std::string_view wanted, const Value& got) const {
  return error("expected " + std::string(wanted) + ", got " + summary(got));
}

}  // namespace galley::inline v1::io
