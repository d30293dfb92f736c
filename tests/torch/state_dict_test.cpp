// State dicts: what a .pt file holds, and what is wrong with it.
#include <galley/torch/state_dict.hpp>

#include "models.hpp"
#include "state_dicts.hpp"
#include <support/has.hpp>

#include <torch/csrc/jit/serialization/pickle.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::NamedTensor;
using galley::Result;
using galley::Shape;
using galley::state_dict_from_bytes;
using galley::StateDictOptions;
using galley::Status;
using galley::Tensor;
using support::has;

namespace {

using StateDict = std::vector<NamedTensor>;

Result<StateDict> read(const std::string& file, const StateDictOptions& options = {}) {
  return state_dict_from_bytes(std::as_bytes(std::span(file)), options);
}

galley::Error refusal(const std::string& file, const StateDictOptions& options = {}) {
  const Result<StateDict> dict = read(file, options);
  REQUIRE_FALSE(dict.has_value());
  INFO(dict.error().detail);
  CHECK(dict.error().detail.size() < 1000);
  CHECK(dict.error().detail.find('\n') == std::string::npos);
  return dict.error();
}

const std::string floats = state_dicts::bytes_of<float>({1, 2, 3, 4, 5, 6});

/// A dict of one tensor "w" in six floats.
std::string one_tensor(std::int64_t offset, const std::vector<std::int64_t>& sizes,
                       const std::vector<std::int64_t>& strides) {
  return state_dicts::file(
      state_dicts::dict({state_dicts::text("w"),
                         state_dicts::tensor("FloatStorage", "0", offset, sizes, strides)}),
      {{"data/0", floats}});
}

/// A dict of one value "w".
std::string one_value(const std::string& value) {
  return state_dicts::file(state_dicts::dict({state_dicts::text("w"), value}),
                           {{"data/0", floats}});
}

void check_net(const StateDict& dict) {
  REQUIRE(dict.size() == 7);
  const std::vector<NamedTensor> wanted{
      {"0.weight", *Tensor::copy_of({1.F, 2.F, 3.F, 4.F}, {2, 2})},
      {"0.bias", *Tensor::copy_of({.5F, -.5F}, {2})},
      {"1.weight", *Tensor::copy_of({2.F, 3.F}, {2})},
      {"1.bias", *Tensor::copy_of({1.F, -1.F}, {2})},
      {"1.running_mean", *Tensor::copy_of({.25F, .75F}, {2})},
      {"1.running_var", *Tensor::copy_of({4.F, 1.F}, {2})},
      {"1.num_batches_tracked", *Tensor::copy_of({std::int64_t{7}}, Shape())}};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(dict[i].name == wanted[i].name);
    CHECK(dict[i].tensor == wanted[i].tensor);
    CHECK(dict[i].tensor.is_owned());
    CHECK(dict[i].tensor.is_read_only());
  }
}

}  // namespace

TEST_CASE("what Python's torch.save wrote of a state dict is read", "[torch]") {
  const std::string file = state_dicts::written_by_python();
  check_net(*read(file));
  const std::string path =
      (std::filesystem::temp_directory_path() / "galley_state_dict_test.pt").string();
  std::ofstream(path, std::ios::binary) << file;
  const auto loaded = galley::load_state_dict(path);
  std::filesystem::remove(path);
  REQUIRE(loaded.has_value());
  check_net(*loaded);
}

TEST_CASE("what LibTorch's pickle_save wrote of a dict is read", "[torch]") {
  c10::Dict<std::string, at::Tensor> dict;
  dict.insert("w", models::sines({3, 4}));
  dict.insert("t", models::sines({3, 4}).t());
  const std::vector<char> file = torch::jit::pickle_save(dict);
  const auto got = state_dict_from_bytes(std::as_bytes(std::span(file)));
  REQUIRE(got.has_value());
  REQUIRE(got->size() == 2);
  CHECK(at::equal(models::torch_of((*got)[0].tensor), dict.at("w")));
  CHECK(at::equal(models::torch_of((*got)[1].tensor), dict.at("t")));
  const auto again = torch::jit::pickle_save(c10::IValue(std::vector<at::Tensor>{dict.at("w")}));
  has(refusal({again.begin(), again.end()}).detail, "expected a dict of tensors, got");
}

TEST_CASE("every dtype of a state dict is read", "[torch]") {
  using state_dicts::bytes_of;
  const auto check = [](const char* type, galley::DType dtype, const std::string& bytes) {
    const std::string file = state_dicts::file(
        state_dicts::dict({state_dicts::text("x"), state_dicts::tensor(type, "k", 1, {1}, {1})}),
        {{"data/k", bytes}});
    const auto dict = read(file);
    REQUIRE(dict.has_value());
    const Tensor& tensor = dict->front().tensor;
    CHECK(tensor.dtype() == dtype);
    REQUIRE(tensor.byte_size() == size_of(dtype));
    CHECK(std::memcmp(tensor.data(), bytes.data() + size_of(dtype), size_of(dtype)) == 0);
  };
  check("FloatStorage", galley::f32, bytes_of<float>({1, 2}));
  check("DoubleStorage", galley::f64, bytes_of<double>({1, 2}));
  check("HalfStorage", galley::f16, bytes_of<std::uint16_t>({1, 0x3c00}));
  check("BFloat16Storage", galley::bf16, bytes_of<std::uint16_t>({1, 0x3f80}));
  check("CharStorage", galley::i8, bytes_of<std::int8_t>({1, -2}));
  check("ShortStorage", galley::i16, bytes_of<std::int16_t>({1, -2}));
  check("IntStorage", galley::i32, bytes_of<std::int32_t>({1, -2}));
  check("LongStorage", galley::i64, bytes_of<std::int64_t>({1, -2}));
  check("ByteStorage", galley::u8, bytes_of<std::uint8_t>({1, 200}));
  check("BoolStorage", galley::boolean, bytes_of<std::uint8_t>({0, 1}));
}

TEST_CASE("tensors keep their strides, and share the memory that they shared", "[torch]") {
  using state_dicts::tensor;
  using state_dicts::text;
  const std::string file = state_dicts::file(
      state_dicts::dict({text("w"), tensor("FloatStorage", "0", 0, {2, 3}, {3, 1}), text("t"),
                         tensor("FloatStorage", "0", 0, {3, 2}, {1, 3}), text("row"),
                         tensor("FloatStorage", "0", 3, {3}, {1}), text("none"),
                         tensor("FloatStorage", "1", 0, {0, 3}, {3, 1})}),
      {{"data/0", floats}, {"data/1", ""}});
  const StateDict dict = *read(file);
  CHECK(dict[0].tensor == *Tensor::copy_of({1.F, 2.F, 3.F, 4.F, 5.F, 6.F}, {2, 3}));
  CHECK(dict[1].tensor == *Tensor::copy_of({1.F, 4.F, 2.F, 5.F, 3.F, 6.F}, {3, 2}));
  CHECK(dict[1].tensor.data() == dict[0].tensor.data());
  CHECK(dict[2].tensor == *Tensor::copy_of({4.F, 5.F, 6.F}, {3}));
  CHECK(dict[3].tensor.numel() == 0);
}

TEST_CASE("parameters are read as their tensors", "[torch]") {
  const std::string parameter = state_dicts::object(
      "torch._utils\n_rebuild_parameter",
      state_dicts::tuple({state_dicts::tensor("FloatStorage", "0", 0, {6}, {1}), "\x88",
                          state_dicts::object("collections\nOrderedDict", ")")}));
  CHECK(read(one_value(parameter))->front().tensor.numel() == 6);
  const std::string empty = state_dicts::object("torch._utils\n_rebuild_parameter", ")");
  has(refusal(one_value(empty)).detail, "\"w\": a parameter without a tensor");
}

TEST_CASE("a state dict is found in a file of more than that", "[torch]") {
  using state_dicts::dict;
  using state_dicts::text;
  const std::string inner =
      dict({text("w"), state_dicts::tensor("FloatStorage", "0", 0, {6}, {1})});
  const std::string file =
      state_dicts::file(dict({text("epoch"), state_dicts::integer(3), text("arguments"),
                              state_dicts::object("argparse\nNamespace", ")") + "}b", text("loss"),
                              std::string("G\0\0\0\0\0\0\0\0", 9), text("model"), inner}),
                        {{"data/0", floats}});
  const auto found = read(file, {.entry = "model"});
  REQUIRE(found.has_value());
  CHECK(found->front().name == "w");
  CHECK(found->front().tensor.numel() == 6);
  const galley::Error whole = refusal(file);
  CHECK(whole.status == Status::data_loss);
  has(whole.detail, "\"epoch\": expected a tensor, got an int");
  CHECK(refusal(file, {.entry = "modle"}).status == Status::not_found);
  has(refusal(file, {.entry = "arguments"}).detail, "got argparse.Namespace");
  has(refusal(file, {.entry = "epoch"}).detail, "expected a dict of tensors, got an int");
}

TEST_CASE("a file that is no state dict is refused by what it is", "[torch]") {
  const auto says = [](const std::string& file, Status status, const std::string& part) {
    const galley::Error error = refusal(file);
    CHECK(error.status == status);
    has(error.detail, part);
  };
  says("", Status::data_loss, "expected a zip archive, got other bytes");
  says("this is no archive", Status::data_loss, "expected a zip archive");
  const std::string net = state_dicts::written_by_python();
  says(net.substr(0, net.size() / 2), Status::data_loss, "the zip archive is not complete");
  says(std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.more", 19),
       Status::unimplemented, "before 1.6");
  says(state_dicts::archive({{"model.txt", "x"}}), Status::data_loss, "no data.pkl");
  std::ostringstream script;
  models::mlp(4).save(script);
  says(script.str(), Status::data_loss, "a TorchScript model");
  says(state_dicts::archive({{"byteorder", "big"}, {"data.pkl", "x"}}), Status::unimplemented,
       "expected little-endian numbers, got big");
  const auto loaded = galley::load_state_dict("/nowhere/at/all.pt");
  CHECK(loaded.status() == Status::not_found);
  has(loaded.error().detail, "/nowhere/at/all.pt");
  CHECK(galley::load_state_dict(std::filesystem::temp_directory_path().string()).status() ==
        Status::data_loss);
}

TEST_CASE("what is wrong in a state dict's pickle is told", "[torch]") {
  const auto says = [](const std::string& file, Status status, const std::string& part) {
    const galley::Error error = refusal(file);
    CHECK(error.status == status);
    has(error.detail, part);
  };
  const auto pickled = [](const std::string& bytes) {
    return state_dicts::archive({{"data.pkl", bytes}});
  };
  says(pickled(""), Status::data_loss, "the beginning of a pickle");
  says(pickled("\x80\x04."), Status::unimplemented, "protocol 2");
  says(pickled("\x80\x02"), Status::data_loss, "is cut");
  says(pickled("\x80\x02."), Status::data_loss, "holds nothing");
  says(pickled("\x80\x02\x82x."), Status::data_loss, "an operation that torch.save does not write");
  for (const char* bad :
       {"t.", "R.", "Q.", "b.", "s.", "u.", "a.", "e.", "h\x07.", "q\x07.", "\x85.", "X\x09",
        "cno line", "Nu.", "(Nu.", "}(Nu.", "N}s.", "}N(e.", "((t."}) {
    INFO(bad);
    CHECK(refusal(pickled(std::string("\x80\x02") + bad)).status == Status::data_loss);
  }
  says(pickled("\x80\x02]."), Status::data_loss, "expected a dict of tensors, got a list");
  says(state_dicts::file(state_dicts::dict({state_dicts::integer(1), state_dicts::text("x")})),
       Status::data_loss, "expected texts as keys, got an int");
  says(one_value("N"), Status::data_loss, "\"w\": expected a tensor, got None");
  says(one_value(state_dicts::object("os\nsystem", state_dicts::tuple({state_dicts::text("x")}))),
       Status::data_loss, "\"w\": expected a tensor, got os.system");
  says(one_value(state_dicts::tensor("ComplexFloatStorage", "0", 0, {1}, {1})),
       Status::unimplemented, "got torch.ComplexFloatStorage");
  says(one_value(state_dicts::tensor("FloatStorage", "9", 0, {1}, {1})), Status::data_loss,
       "not in the archive");
  const std::string two = state_dicts::file(
      state_dicts::dict(
          {state_dicts::text("a"), state_dicts::tensor("FloatStorage", "0", 0, {1}, {1}),
           state_dicts::text("b"), state_dicts::tensor("IntStorage", "0", 0, {1}, {1})}),
      {{"data/0", floats}});
  says(two, Status::data_loss, "\"b\": one memory of two dtypes");
  const std::string bools =
      state_dicts::file(state_dicts::dict({state_dicts::text("a"),
                                           state_dicts::tensor("BoolStorage", "0", 0, {1}, {1})}),
                        {{"data/0", "\x02"}});
  says(bools, Status::data_loss, "expected bools");
}

TEST_CASE("a tensor beyond its memory is refused", "[torch]") {
  CHECK(read(one_tensor(0, {6}, {1})).has_value());
  CHECK(read(one_tensor(6, {0}, {1})).has_value());
  constexpr std::int64_t most = INT64_MAX;
  const auto beyond = [](std::int64_t offset, const std::vector<std::int64_t>& sizes,
                         const std::vector<std::int64_t>& strides) {
    const galley::Error error = refusal(one_tensor(offset, sizes, strides));
    CHECK(error.status == Status::data_loss);
    has(error.detail, "\"w\": elements beyond the tensor's memory");
  };
  beyond(0, {7}, {1});
  beyond(1, {6}, {1});
  beyond(7, {0}, {1});
  beyond(0, {2, 3}, {4, 1});
  beyond(most, {1}, {1});
  beyond(0, {most}, {1});
  beyond(0, {2}, {most});
  beyond(0, {most, most}, {0, 0});
  beyond(0, {most, 0}, {most, most});
  CHECK(refusal(one_tensor(-1, {1}, {1})).status == Status::data_loss);
  CHECK(refusal(one_tensor(0, {-1}, {1})).status == Status::data_loss);
  CHECK(refusal(one_tensor(0, {2}, {-1})).status == Status::data_loss);
  CHECK(refusal(one_tensor(0, {2}, {1, 1})).status == Status::data_loss);
  CHECK(refusal(one_tensor(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})).status ==
        Status::unimplemented);
}

TEST_CASE("a pickle with any one byte changed harms nothing", "[torch]") {
  const std::string value = state_dicts::pickle(state_dicts::dict(
      {state_dicts::text("w"), state_dicts::tensor("FloatStorage", "0", 1, {2, 2}, {2, 1})}));
  for (std::size_t at = 0; at < value.size(); ++at) {
    for (const unsigned flip : {0x01U, 0x10U, 0xffU}) {
      std::string changed = value;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ flip);
      const auto dict = read(state_dicts::archive({{"data.pkl", changed}, {"data/0", floats}}));
      if (!dict.has_value()) {
        CHECK_FALSE(dict.error().detail.empty());
        continue;
      }
      for (const NamedTensor& named : *dict) {
        std::vector<std::byte> all(named.tensor.byte_size());
        CHECK(named.tensor.copy_into(all).has_value());
      }
    }
  }
}
