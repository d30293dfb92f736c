#include <galley/core/text.hpp>
#include <galley/io/value.hpp>
#include <src/io/safetensors_header.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace galley::inline v1::detail {

namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_header = 100'000'000;
constexpr std::string_view metadata_name = "__metadata__";

Error damaged(std::string_view what) {
  return Error(Status::data_loss, text({"no readable safetensors: ", what}));
}

std::optional<DType> dtype_named(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, DType>, 10> known = {{{"F32", f32},
                                                                         {"F64", f64},
                                                                         {"F16", f16},
                                                                         {"BF16", bf16},
                                                                         {"I8", i8},
                                                                         {"I16", i16},
                                                                         {"I32", i32},
                                                                         {"I64", i64},
                                                                         {"U8", u8},
                                                                         {"BOOL", boolean}}};
  for (const auto& [called, dtype] : known) {
    if (called == name) return dtype;
  }
  return std::nullopt;
}

/// Takes the parser's events; fails at the first that the format does not have there.
class HeaderReader {
 public:
  explicit HeaderReader(std::uint64_t data_bytes) : data_bytes_(data_bytes) {}

  Result<SafetensorsHeader> result(bool parsed) && {
    if (error_.has_value()) return *std::move(error_);
    if (!parsed) return damaged("the header is not JSON");
    return std::move(header_);
  }

  // The events, by the parser's names.
  bool null() { return ignore("null"); }
  bool boolean(bool) { return ignore("a boolean"); }
  bool number_integer(std::int64_t value) { return ignore(std::to_string(value)); }
  bool number_float(double, const std::string& written) { return ignore(written.substr(0, 60)); }
  bool binary(Json::binary_t&) { return ignore("binary data"); }
  bool number_unsigned(std::uint64_t value);
  bool string(std::string& value);
  bool key(std::string& name);
  bool start_object(std::size_t);
  bool end_object();
  bool start_array(std::size_t);
  bool end_array();
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception&) {
    return fail("not JSON at byte " + std::to_string(byte));
  }

 private:
  /// What is being read.
  enum class Place : std::uint8_t { outside, names, metadata, entry, shape, offsets, skipped };
  /// Members of an entry; the format's readers pass over others.
  enum Member : std::uint8_t { dtype = 1, shape = 2, offsets = 4, other = 0 };

  bool fail(std::string_view what, Status status = Status::data_loss) {
    if (error_.has_value()) return false;
    std::string where = "header: ";
    if (is_metadata_) {
      where += "__metadata__: ";
    } else if (!header_.entries.empty() && place_ != Place::outside) {
      where += "tensor " + in_quotes(header_.entries.back().name) + ": ";
    }
    error_ = damaged(where.append(what));
    error_->status = status;
    return false;
  }
  bool wrong(std::string_view got);
  /// A value that nothing of the format has: well only in a member that is passed over.
  bool ignore(std::string_view got) {
    if (place_ == Place::skipped || (place_ == Place::entry && member_ == Member::other))
      return true;
    return wrong(got);
  }
  bool finish_entry();

  std::uint64_t data_bytes_;
  SafetensorsHeader header_;
  Place place_ = Place::outside;
  bool is_metadata_ = false;       // the member at hand, among the names
  bool has_metadata_ = false;      // there was one
  std::string text_name_;          // of the text that comes, in the metadata
  Member member_ = Member::other;  // of the entry
  unsigned members_ = 0;           // of the entry, so far
  std::array<std::int64_t, Shape::max_rank> extents_{};
  std::size_t count_ = 0;     // of extents, or of offsets
  std::size_t skipping_ = 0;  // how many lists and objects deep
  std::optional<Error> error_;
};

bool HeaderReader::wrong(std::string_view got) {
  std::string_view wanted = "an object of tensors";
  switch (place_) {
    case Place::outside:
    case Place::skipped:
      break;
    case Place::names:
      wanted = "an object";
      break;
    case Place::metadata:
      wanted = "texts";
      break;
    case Place::entry:
      wanted = member_ == Member::dtype   ? "dtype: expected a text"
               : member_ == Member::shape ? "shape: expected a list"
                                          : "data_offsets: expected a list";
      return fail(text({wanted, ", got ", got}));
    case Place::shape:
      wanted = "shape: expected integers from 0 to 2^63 - 1";
      return fail(text({wanted, ", got ", got}));
    case Place::offsets:
      wanted = "data_offsets: expected two integers of 0 or more";
      return fail(text({wanted, ", got ", got}));
  }
  return fail(text({"expected ", wanted, ", got ", got}));
}

bool HeaderReader::number_unsigned(std::uint64_t value) {
  if (place_ == Place::shape) {
    if (value > INT64_MAX) return wrong(std::to_string(value));
    if (count_ == Shape::max_rank) {
      return fail("shape: expected at most 8 extents", Status::unimplemented);
    }
    extents_[count_++] = static_cast<std::int64_t>(value);
    return true;
  }
  if (place_ == Place::offsets) {
    if (count_ == 2) return wrong("more");
    SafetensorsEntry& entry = header_.entries.back();
    (count_++ == 0 ? entry.begin : entry.end) = value;
    return true;
  }
  return ignore(std::to_string(value));
}

bool HeaderReader::string(std::string& value) {
  if (place_ == Place::metadata) {
    if (!header_.metadata.try_emplace(std::move(text_name_), std::move(value)).second) {
      return fail("two texts of one name");
    }
    return true;
  }
  if (place_ == Place::entry && member_ == Member::dtype) {
    const std::optional<DType> known = dtype_named(value);
    if (!known.has_value()) {
      return fail(text({"dtype: expected one that galley has (F64, F32, F16, BF16, I64, I32, I16, "
                        "I8, U8, BOOL), got ",
                        in_quotes(value)}),
                  Status::unimplemented);
    }
    header_.entries.back().dtype = *known;
    return true;
  }
  return ignore(place_ == Place::skipped ? "" : in_quotes(value));
}

bool HeaderReader::key(std::string& name) {
  switch (place_) {
    case Place::names:
      is_metadata_ = name == metadata_name;
      if (is_metadata_ && std::exchange(has_metadata_, true)) return fail("two __metadata__");
      if (!is_metadata_) header_.entries.push_back({.name = std::move(name)});
      return true;
    case Place::metadata:
      text_name_ = std::move(name);
      return true;
    case Place::entry:
      member_ = name == "dtype"          ? Member::dtype
                : name == "shape"        ? Member::shape
                : name == "data_offsets" ? Member::offsets
                                         : Member::other;
      if ((members_ & member_) != 0) return fail(text({"two members ", name}));
      members_ |= member_;
      return true;
    default:
      return true;
  }
}

bool HeaderReader::start_object(std::size_t) {
  switch (place_) {
    case Place::outside:
      place_ = Place::names;
      return true;
    case Place::names:
      place_ = is_metadata_ ? Place::metadata : Place::entry;
      members_ = 0;
      return true;
    case Place::skipped:
      ++skipping_;
      return true;
    case Place::entry:
      if (member_ != Member::other) return wrong("an object");
      place_ = Place::skipped;
      skipping_ = 1;
      return true;
    default:
      return wrong("an object");
  }
}

bool HeaderReader::start_array(std::size_t) {
  if (place_ == Place::skipped) {
    ++skipping_;
    return true;
  }
  if (place_ != Place::entry || member_ == Member::dtype) return wrong("a list");
  count_ = 0;
  skipping_ = 1;
  place_ = member_ == Member::shape     ? Place::shape
           : member_ == Member::offsets ? Place::offsets
                                        : Place::skipped;
  return true;
}

bool HeaderReader::end_array() {
  if (place_ == Place::skipped) {
    if (--skipping_ == 0) place_ = Place::entry;
    return true;
  }
  if (place_ == Place::offsets && count_ != 2) return wrong("fewer");
  if (place_ == Place::shape) {
    header_.entries.back().shape = Shape(Unchecked{}, std::span(extents_).first(count_));
  }
  place_ = Place::entry;
  return true;
}

bool HeaderReader::end_object() {
  switch (place_) {
    case Place::skipped:
      if (--skipping_ == 0) place_ = Place::entry;
      return true;
    case Place::entry:
      if (!finish_entry()) return false;
      place_ = Place::names;
      return true;
    case Place::metadata:
      place_ = Place::names;
      return true;
    default:
      place_ = Place::outside;
      return true;
  }
}

bool HeaderReader::finish_entry() {
  if (members_ != (Member::dtype | Member::shape | Member::offsets)) {
    return fail("expected the members dtype, shape and data_offsets");
  }
  const SafetensorsEntry& entry = header_.entries.back();
  if (entry.begin > entry.end || entry.end > data_bytes_) {
    return fail("data_offsets: [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) +
                "] are not within the " + std::to_string(data_bytes_) + " bytes that there are");
  }
  const std::optional<std::int64_t> elements = entry.shape.numel();
  const auto size = std::max<std::int64_t>(1, static_cast<std::int64_t>(size_of(entry.dtype)));
  if (!elements.has_value() || *elements > INT64_MAX / size) {
    return fail("shape: " + to_string(entry.shape) + " has more than 2^63 - 1 bytes");
  }
  if (static_cast<std::uint64_t>(*elements * size) != entry.end - entry.begin) {
    return fail("data_offsets: expected " + std::to_string(*elements * size) + " bytes for " +
                std::string(to_string(entry.dtype)) + " " + to_string(entry.shape) + ", got " +
                std::to_string(entry.end - entry.begin));
  }
  return true;
}

Result<void> check_names(const std::vector<SafetensorsEntry>& entries) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const SafetensorsEntry& entry : entries) names.emplace_back(entry.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice == names.end()) return {};
  return damaged("header: two tensors are named " + in_quotes(*twice));
}

/// That the tensors, sorted by where they are, fill the data.
Result<void> check_places(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes) {
  std::uint64_t filled = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin < filled) {
      return damaged("header: tensor " + in_quotes(entry.name) + " overlaps the one before it");
    }
    if (entry.begin > filled) {
      return damaged("header: " + std::to_string(entry.begin - filled) + " bytes before tensor " +
                     in_quotes(entry.name) + " belong to none");
    }
    filled = entry.end;
  }
  if (filled == data_bytes) return {};
  return damaged("header: " + std::to_string(data_bytes - filled) +
                 " bytes behind the last tensor belong to none");
}

}  // namespace

std::string in_quotes(std::string_view name) {
  return io::summary(io::Value(std::string(name)));
}

Result<std::size_t> safetensors_header_length(std::span<const std::byte> first,
                                              std::uint64_t file_bytes) {
  if (file_bytes < safetensors_length_bytes || first.size() < safetensors_length_bytes) {
    return damaged("expected the 8 bytes of a header's length, got " + std::to_string(file_bytes));
  }
  std::uint64_t length = 0;
  for (std::size_t i = safetensors_length_bytes; i-- > 0;) {
    length = length << 8U | std::to_integer<std::uint64_t>(first[i]);
  }
  if (length > longest_header) {
    return damaged("expected a header of at most 100000000 bytes, got " + std::to_string(length));
  }
  if (length > file_bytes - safetensors_length_bytes) {
    return damaged("the header has " + std::to_string(length) + " bytes, the file ends after " +
                   std::to_string(file_bytes - safetensors_length_bytes));
  }
  return static_cast<std::size_t>(length);
}

Result<SafetensorsHeader> parse_safetensors_header(std::string_view text,
                                                   std::uint64_t data_bytes) {
  if (text.empty() || text.front() != '{') return damaged("the header is not a JSON object");
  // The parser takes a null byte for the end, whatever comes behind it.
  if (text.find('\0') != text.npos) return damaged("the header is not JSON: it has a null byte");
  HeaderReader reader(data_bytes);
  const bool parsed = Json::sax_parse(text, &reader);
  GALLEY_TRY(SafetensorsHeader header, std::move(reader).result(parsed));
  GALLEY_TRY(check_names(header.entries));
  const auto place = [](const SafetensorsEntry& entry) {
    return std::pair(entry.begin, entry.end);
  };
  std::ranges::stable_sort(header.entries, {}, place);
  GALLEY_TRY(check_places(header.entries, data_bytes));
  return header;
}

}  // namespace galley::inline v1::detail
