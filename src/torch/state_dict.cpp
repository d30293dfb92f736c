#include <src/torch/torch_headers.hpp>

#include <galley/core/owner.hpp>
#include <galley/core/text.hpp>
#include <galley/torch/state_dict.hpp>
#include <src/torch/archive.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/pickle.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <istream>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

namespace {

using caffe2::serialize::PyTorchStreamReader;
using detail::Pickle;

std::optional<DType> storage_dtype(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, DType>, 10> known = {
      {{"torch.FloatStorage", f32},
       {"torch.DoubleStorage", f64},
       {"torch.HalfStorage", f16},
       {"torch.BFloat16Storage", bf16},
       {"torch.CharStorage", i8},
       {"torch.ShortStorage", i16},
       {"torch.IntStorage", i32},
       {"torch.LongStorage", i64},
       {"torch.ByteStorage", u8},
       {"torch.BoolStorage", boolean}}};
  for (const auto& [called, dtype] : known) {
    if (called == name) return dtype;
  }
  return std::nullopt;
}

/// An archive of torch.save: its pickle, and the memory that its tensors lie in.
class StateDictReader {
 public:
  explicit StateDictReader(std::istream& in) : archive_(&in) {}

  Result<std::vector<NamedTensor>> read(const StateDictOptions& options);

 private:
  using Node = Pickle::Node;
  using Kind = Pickle::Kind;

  struct Memory {
    DType dtype = DType::f32;
    Owner owner;
    const std::byte* data = nullptr;
    std::int64_t elements = 0;
  };
  struct Layout {
    std::int64_t offset = 0;
    Shape shape;
    Strides strides{};
  };

  const Node& node(Pickle::Index index) const { return pickle_[index]; }
  /// Item `index` of what has at least `count`, or null.
  const Node* item(const Node& of, std::size_t index, std::size_t count) const {
    return of.items.size() >= count ? &node(of.items[index]) : nullptr;
  }
  /// What is called to make an object, or nothing.
  std::string_view maker(const Node& of) const {
    return of.kind == Kind::object ? std::string_view(node(of.items[0]).text) : std::string_view();
  }
  /// The content of a record; nothing where there is none.
  std::optional<std::string> record(const std::string& name);
  Result<const Node*> dict(const std::string& entry) const;
  /// What LibTorch's own pickler wrote the type of beside it; else the same.
  const Node* untagged(const Node& tagged) const {
    if (maker(tagged) != "torch.jit._pickle.restore_type_tag") return &tagged;
    const Node* value = item(node(tagged.items[1]), 0, 2);
    return value != nullptr ? value : &tagged;
  }
  Result<Tensor> tensor(const Node& made);
  Result<Memory> memory(const Node& stored);
  Result<Memory> read_memory(const std::string& key, DType dtype);
  Result<Layout> layout(const Node& arguments) const;

  PyTorchStreamReader archive_;
  Pickle pickle_;
  std::map<std::string, Memory> memories_;
};

Error bad_dict(std::string_view what) {
  return Error(Status::data_loss, std::string(what));
}

std::optional<std::string> StateDictReader::record(const std::string& name) {
  if (!archive_.hasRecord(name)) return std::nullopt;
  const auto [data, bytes] = archive_.getRecord(name);
  return std::string(static_cast<const char*>(data.get()), bytes);
}

Result<std::vector<NamedTensor>> StateDictReader::read(const StateDictOptions& options) {
  if (const auto order = record("byteorder"); order.has_value() && *order != "little") {
    return Error(Status::unimplemented,
                 "expected little-endian numbers, got " + order->substr(0, 20));
  }
  const std::optional<std::string> bytes = record("data.pkl");
  if (!bytes.has_value()) return bad_dict("an archive of something else: it has no data.pkl");
  GALLEY_TRY(pickle_, Pickle::read(*bytes));
  GALLEY_TRY(const Node* entries, dict(options.entry));
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i + 1 < entries->items.size(); i += 2) {
    const Node& key = node(entries->items[i]);
    if (key.kind != Kind::text) return bad_dict("expected texts as keys, got " + pickle_.what(key));
    Result<Tensor> value = tensor(node(entries->items[i + 1]));
    if (!value.has_value()) {
      return within("\"" + key.text.substr(0, 60) + "\"", std::move(value).error());
    }
    tensors.push_back({key.text, *std::move(value)});
  }
  return tensors;
}

Result<const Pickle::Node*> StateDictReader::dict(const std::string& entry) const {
  const Node* found = untagged(pickle_.root());
  if (!entry.empty() && found->kind == Kind::dict) {
    const Node* under = nullptr;
    for (std::size_t i = 0; i + 1 < found->items.size(); i += 2) {
      const Node& key = node(found->items[i]);
      if (key.kind == Kind::text && key.text == entry) {
        under = untagged(node(found->items[i + 1]));
      }
    }
    if (under == nullptr) return Error(Status::not_found, "no entry \"" + entry + "\"");
    found = under;
  }
  if (found->kind == Kind::dict) return found;
  std::string got = pickle_.what(*found);
  if (got.starts_with("__torch__.")) got += ", a TorchScript model";
  return bad_dict("expected a dict of tensors, got " + got);
}

Result<Tensor> StateDictReader::tensor(const Node& made) {
  if (maker(made) == "torch._utils._rebuild_parameter") {
    const Node* data = item(node(made.items[1]), 0, 3);
    if (data == nullptr || maker(*data) != "torch._utils._rebuild_tensor_v2") {
      return bad_dict("a parameter without a tensor");
    }
    return tensor(*data);
  }
  if (maker(made) != "torch._utils._rebuild_tensor_v2") {
    return bad_dict("expected a tensor, got " + pickle_.what(made));
  }
  const Node& arguments = node(made.items[1]);
  const Node* stored = item(arguments, 0, 4);
  if (stored == nullptr) return bad_dict("a tensor without its memory");
  GALLEY_TRY(const Memory held, memory(*stored));
  GALLEY_TRY(const Layout laid, layout(arguments));
  const std::optional<std::int64_t> spanned =
      laid.shape.numel().has_value() ? detail::elements_spanned(laid.shape, laid.strides)
                                     : std::nullopt;
  if (!spanned.has_value() || *spanned > held.elements - laid.offset) {
    return bad_dict("elements beyond the tensor's memory");
  }
  const auto offset = static_cast<std::size_t>(laid.offset) * size_of(held.dtype);
  return Tensor::adopt(static_cast<const void*>(held.data + offset), held.dtype, laid.shape,
                       std::span(laid.strides).first(laid.shape.rank()), cpu, held.owner);
}

Result<StateDictReader::Layout> StateDictReader::layout(const Node& arguments) const {
  Layout laid;
  std::array<std::int64_t, Shape::max_rank> extents{};
  const Node& offset = node(arguments.items[1]);
  const Node& sizes = node(arguments.items[2]);
  const Node& steps = node(arguments.items[3]);
  const std::size_t rank = sizes.items.size();
  const auto is_count = [](const Node& n) { return n.kind == Kind::integer && n.integer >= 0; };
  if (!is_count(offset) || sizes.kind != Kind::sequence || steps.kind != Kind::sequence ||
      steps.items.size() != rank) {
    return bad_dict("a tensor without shape and strides");
  }
  if (rank > Shape::max_rank) {
    return Error(Status::unimplemented, "expected at most 8 extents, got " + std::to_string(rank));
  }
  for (std::size_t d = 0; d < rank; ++d) {
    const Node& extent = node(sizes.items[d]);
    const Node& step = node(steps.items[d]);
    if (!is_count(extent) || !is_count(step)) return bad_dict("extents that are no counts");
    extents[d] = extent.integer;
    laid.strides[d] = step.integer;
  }
  laid.offset = offset.integer;
  laid.shape = Shape(Unchecked{}, std::span(extents).first(rank));
  return laid;
}

/// The memory behind ("storage", torch.FloatStorage, key, device, elements).
Result<StateDictReader::Memory> StateDictReader::memory(const Node& stored) {
  const Node* id = stored.kind == Kind::stored ? &node(stored.items[0]) : nullptr;
  const Node* type = id != nullptr ? item(*id, 1, 5) : nullptr;
  const Node* key = id != nullptr ? item(*id, 2, 5) : nullptr;
  if (type == nullptr || type->kind != Kind::global || key->kind != Kind::text) {
    return bad_dict("a tensor without its memory");
  }
  const std::optional<DType> dtype = storage_dtype(type->text);
  if (!dtype.has_value()) {
    return Error(Status::unimplemented,
                 "expected a dtype that galley has, got " + type->text.substr(0, 60));
  }
  const auto known = memories_.find(key->text);
  if (known != memories_.end()) {
    if (known->second.dtype != *dtype) return bad_dict("one memory of two dtypes");
    return known->second;
  }
  GALLEY_TRY(Memory read, read_memory(key->text, *dtype));
  return memories_.emplace(key->text, std::move(read)).first->second;
}

Result<StateDictReader::Memory> StateDictReader::read_memory(const std::string& key, DType dtype) {
  const std::string name = "data/" + key;
  if (!archive_.hasRecord(name)) return bad_dict("its memory is not in the archive");
  auto [data, bytes] = archive_.getRecord(name);
  const auto* begin = static_cast<const std::byte*>(data.get());
  const auto is_bool = [](std::byte b) { return std::to_integer<unsigned>(b) <= 1; };
  if (dtype == boolean && !std::all_of(begin, begin + bytes, is_bool)) {
    return bad_dict("expected bools, got bytes other than 0 and 1");
  }
  return Memory{.dtype = dtype,
                .owner = Owner::hold(std::move(data)).owner,
                .data = begin,
                .elements = static_cast<std::int64_t>(bytes / size_of(dtype))};
}

/// What torch.save wrote before it wrote archives begins with this number, pickled.
bool is_legacy(std::istream& in) {
  constexpr std::string_view begins = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  std::string first(begins.size(), '\0');
  in.read(first.data(), static_cast<std::streamsize>(first.size()));
  const bool is = in && first == begins;
  in.clear();
  in.seekg(0);
  return is;
}

Result<std::vector<NamedTensor>> read_state_dict(std::istream& in,
                                                 const StateDictOptions& options) {
  if (is_legacy(in)) {
    return Error(Status::unimplemented,
                 "the format of torch before 1.6, which is no archive: save it anew");
  }
  GALLEY_TRY(detail::check_archive(in, "state dict"));
  try {
    Result<std::vector<NamedTensor>> read = StateDictReader(in).read(options);
    if (read.has_value() || read.status() != Status::data_loss) return read;
    return within("no readable state dict", std::move(read).error());
  } catch (...) {
    return within("no readable state dict", detail::caught(Status::data_loss));
  }
}

}  // namespace

Result<std::vector<NamedTensor>> load_state_dict(const std::string& path,
                                                 const StateDictOptions& options) {
  const auto named = [&](Error error) { return within("\"" + path + "\"", std::move(error)); };
  Result<std::ifstream> in = detail::open_archive(path);
  if (!in.has_value()) return named(std::move(in).error());
  Result<std::vector<NamedTensor>> read = read_state_dict(*in, options);
  if (!read.has_value()) return named(std::move(read).error());
  return read;
}

Result<std::vector<NamedTensor>> state_dict_from_bytes(std::span<const std::byte> bytes,
                                                       const StateDictOptions& options) {
  detail::SpanBuffer buffer(bytes);
  std::istream in(&buffer);
  Result<std::vector<NamedTensor>> read = read_state_dict(in, options);
  if (!read.has_value()) return within("state dict in memory", std::move(read).error());
  return read;
}

}  // namespace galley::inline v1
