// Safetensors files: what they hold, where it lies in memory, and what is wrong with them.
#include <galley/io/safetensors.hpp>

#include <support/has.hpp>
#include <support/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::FileAccess;
using galley::load_safetensors;
using galley::Owner;
using galley::Result;
using galley::Safetensors;
using galley::safetensors_from_bytes;
using galley::Shape;
using galley::Status;
using galley::Tensor;
using support::has;
using support::safetensors_file;
using support::SafetensorsWriter;

namespace {

std::span<const std::byte> as_bytes(const std::string& file) {
  return std::as_bytes(std::span(file));
}

/// A file of these bytes, removed at the end. Test cases may run side by side.
struct File {
  explicit File(const std::string& content) {
    const std::string test = Catch::getResultCapture().getCurrentTestName();
    const std::string name = "galley_safetensors_" + std::to_string(std::hash<std::string>()(test));
    path = (std::filesystem::temp_directory_path() / name).string();
    std::ofstream(path, std::ios::binary) << content;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::filesystem::remove(path); }
  std::string path;
};

/// Two layers and what was said of them; the second tensor comes first in the header.
std::string sample() {
  std::string header = R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
                       R"("__metadata__":{"format":"pt","from":"épée"},)"
                       R"("a":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  return safetensors_file(header,
                          {"\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40", 20});
}

void check_sample(const Safetensors& file) {
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors[0].name == "a");
  CHECK(file.tensors[0].tensor == *Tensor::copy_of({1.F, 2.F, 3.F}, {1, 3}));
  CHECK(file.tensors[1].name == "b");
  CHECK(file.tensors[1].tensor == *Tensor::copy_of({4.F, 5.F}, {2}));
  CHECK(file.metadata.size() == 2);
  CHECK(file.metadata.at("format") == "pt");
  CHECK(file.metadata.at("from") == "épée");
  for (const galley::NamedTensor& named : file.tensors) {
    CHECK(named.tensor.is_read_only());
    CHECK(named.tensor.is_owned());
  }
}

/// The elements of one tensor.
template <class T>
std::vector<T> values(const Safetensors& file, const char* name) {
  const Tensor* tensor = file.find(name);
  REQUIRE(tensor != nullptr);
  const auto span = tensor->span<T>();
  REQUIRE(span.has_value());
  return {span->begin(), span->end()};
}

/// What is said of a file that is refused, however it is read.
galley::Error refusal(const std::string& file) {
  const Result<Safetensors> copied = safetensors_from_bytes(as_bytes(file));
  REQUIRE_FALSE(copied.has_value());
  const Result<Safetensors> borrowed = safetensors_from_bytes(as_bytes(file), Owner());
  REQUIRE_FALSE(borrowed.has_value());
  CHECK(copied.error() == borrowed.error());
  CHECK(copied.error().detail.size() < 1000);
  return copied.error();
}

/// One entry after another with these places, in a file of `data` bytes.
std::string placed(const std::vector<std::pair<std::string, std::string>>& entries,
                   std::size_t data) {
  std::string header;
  for (const auto& [name, members] : entries) {
    header.append(header.empty() ? "{\"" : ",\"").append(name).append("\":{").append(members) +=
        '}';
  }
  return safetensors_file(header + "}", std::string(data, '\0'));
}

std::string bytes_at(std::uint64_t begin, std::uint64_t end) {
  return R"("dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]";
}

}  // namespace

TEST_CASE("a file gives its tensors by place, and its texts", "[io][safetensors]") {
  const std::string file = sample();
  check_sample(*safetensors_from_bytes(as_bytes(file)));
  const File on_disk(file);
  check_sample(*load_safetensors(on_disk.path));
  check_sample(*load_safetensors(on_disk.path, {.access = FileAccess::mapped}));
}

TEST_CASE("every dtype that galley has is read", "[io][safetensors]") {
  const std::string file = SafetensorsWriter()
                               .tensor<double>("f64", "F64", "1", {-0.5})
                               .tensor<float>("f32", "F32", "2", {1.5F, -3.F})
                               .tensor<std::int64_t>("i64", "I64", "", {INT64_MIN})
                               .tensor<std::int32_t>("i32", "I32", "2", {INT32_MIN, 7})
                               .tensor<std::uint16_t>("f16", "F16", "1,2", {0x3c00, 0xc000})
                               .tensor<std::uint16_t>("bf16", "BF16", "1", {0x3f80})
                               .tensor<std::int16_t>("i16", "I16", "1", {INT16_MIN})
                               .tensor<std::int8_t>("i8", "I8", "3", {-128, 0, 127})
                               .tensor<std::uint8_t>("u8", "U8", "2", {0, 255})
                               .tensor<std::uint8_t>("bool", "BOOL", "3", {1, 0, 1})
                               .file();
  const Safetensors read = *safetensors_from_bytes(as_bytes(file));
  CHECK(values<double>(read, "f64") == std::vector{-0.5});
  CHECK(values<float>(read, "f32") == std::vector{1.5F, -3.F});
  CHECK(values<std::int64_t>(read, "i64") == std::vector<std::int64_t>{INT64_MIN});
  CHECK(read.find("i64")->rank() == 0);
  CHECK(values<std::int32_t>(read, "i32") == std::vector<std::int32_t>{INT32_MIN, 7});
  CHECK(values<std::int16_t>(read, "i16") == std::vector<std::int16_t>{INT16_MIN});
  CHECK(values<std::int8_t>(read, "i8") == std::vector<std::int8_t>{-128, 0, 127});
  CHECK(values<std::uint8_t>(read, "u8") == std::vector<std::uint8_t>{0, 255});
  const auto bools = read.find("bool")->span<bool>();
  REQUIRE(bools.has_value());
  CHECK(((*bools)[0] && !(*bools)[1] && (*bools)[2]));
  const auto halves = [&](const char* name, galley::DType dtype, std::uint16_t first) {
    const Tensor& tensor = *read.find(name);
    CHECK(tensor.dtype() == dtype);
    std::uint16_t got = 0;
    std::memcpy(&got, tensor.data(), sizeof got);
    CHECK(got == first);
  };
  halves("f16", galley::f16, 0x3c00);
  halves("bf16", galley::bf16, 0x3f80);
  CHECK(read.find("f16")->shape() == Shape{1, 2});
  CHECK(read.find("nobody") == nullptr);
}

TEST_CASE("files without tensors, and tensors without elements, are read", "[io][safetensors]") {
  for (const char* header : {"{}", "{}      ", R"({"__metadata__":{}})"}) {
    const std::string file = safetensors_file(header);
    const auto read = safetensors_from_bytes(as_bytes(file));
    REQUIRE(read.has_value());
    CHECK(read->tensors.empty());
    CHECK(safetensors_from_bytes(as_bytes(file), Owner())->tensors.empty());
  }
  const std::string file = SafetensorsWriter()
                               .tensor<float>("none", "F32", "3,0", {})
                               .tensor<float>("some", "F32", "1", {8})
                               .tensor<std::int64_t>("none at the end", "I64", "0", {})
                               .file();
  const Safetensors read = *safetensors_from_bytes(as_bytes(file));
  CHECK(read.find("none")->shape() == Shape{3, 0});
  CHECK(values<float>(read, "some") == std::vector{8.F});
  CHECK(read.find("none at the end")->numel() == 0);
}

TEST_CASE("tensors share the bytes they are read from, which are freed with the last",
          "[io][safetensors]") {
  const std::string text = sample();
  auto memory = galley::allocate_memory(text.size());
  std::memcpy(memory.data, text.data(), text.size());
  const std::byte* data = memory.data + text.size() - 20;
  auto watched = std::make_shared<Owner>(std::move(memory.owner));
  const std::weak_ptr<Owner> freed = watched;
  Safetensors read =
      *safetensors_from_bytes({memory.data, text.size()}, Owner::of(std::move(watched)));
  CHECK(read.find("a")->data() == data);
  CHECK(read.find("b")->data() == data + 12);
  std::optional<Tensor> kept = *read.find("b");
  read = {};
  CHECK_FALSE(freed.expired());
  CHECK(*kept == *Tensor::copy_of({4.F, 5.F}, {2}));
  kept.reset();
  CHECK(freed.expired());
}

TEST_CASE("of a null owner the bytes are borrowed", "[io][safetensors]") {
  const std::string text = sample();
  const Safetensors read = *safetensors_from_bytes(as_bytes(text), Owner());
  CHECK_FALSE(read.find("a")->is_owned());
  CHECK(*read.find("a") == *Tensor::copy_of({1.F, 2.F, 3.F}, {1, 3}));
}

TEST_CASE("a tensor that does not lie aligned is copied, and no other", "[io][safetensors]") {
  SECTION("behind a header of odd length") {
    const std::string one = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    for (std::size_t spaces = 0; spaces < 8; ++spaces) {
      const std::string text =
          safetensors_file(one + std::string(spaces, ' '), {"\0\0\x80\x3f\0\0\0\x40", 8});
      const Tensor wanted = *Tensor::copy_of({1.F, 2.F}, {2});
      const Safetensors shared = *safetensors_from_bytes(as_bytes(text), Owner());
      CHECK(*shared.find("x") == wanted);
      const auto at = reinterpret_cast<std::uintptr_t>(text.data()) + text.size() - 8;
      CHECK(shared.find("x")->is_owned() == (at % 4 != 0));
      CHECK(shared.find("x")->is_read_only());
      CHECK(*safetensors_from_bytes(as_bytes(text))->find("x") == wanted);
      const File file(text);
      CHECK(*load_safetensors(file.path)->find("x") == wanted);
      CHECK(*load_safetensors(file.path, {.access = FileAccess::mapped})->find("x") == wanted);
    }
  }
  SECTION("behind a tensor of odd length") {
    const std::string text = SafetensorsWriter()
                                 .tensor<std::uint8_t>("odd", "U8", "3", {1, 2, 3})
                                 .tensor<float>("x", "F32", "1", {4})
                                 .tensor<std::uint8_t>("even", "U8", "1", {5})
                                 .file();
    const File file(text);
    const Safetensors read = *load_safetensors(file.path);
    CHECK(values<float>(read, "x") == std::vector{4.F});
    const auto* odd = static_cast<const std::byte*>(read.find("odd")->data());
    CHECK(read.find("even")->data() == odd + 7);
    CHECK(read.find("x")->data() != odd + 3);
  }
}

TEST_CASE("a mapped file may be removed, or another put in its place", "[io][safetensors]") {
  std::optional<Safetensors> read;
  {
    const File file(sample());
    read = *load_safetensors(file.path, {.access = FileAccess::mapped});
  }
  check_sample(*read);
  const Tensor kept = *read->find("b");
  read.reset();
  CHECK(kept == *Tensor::copy_of({4.F, 5.F}, {2}));
}

TEST_CASE("who writes to a mapped tensor all the same does not change the file",
          "[io][safetensors]") {
  const File file(sample());
  Safetensors read = *load_safetensors(file.path, {.access = FileAccess::mapped});
  CHECK(read.tensors[0].tensor.mutable_data() == nullptr);
  const_cast<float*>(read.find("a")->data<float>())[0] = 9.F;  // as LibTorch does, without const
  CHECK(read.find("a")->data<float>()[0] == 9.F);
  check_sample(*load_safetensors(file.path, {.access = FileAccess::mapped}));
  check_sample(*load_safetensors(file.path));
}

TEST_CASE("a copied file may be written over", "[io][safetensors]") {
  const File file(sample());
  const Safetensors read = *load_safetensors(file.path);
  std::ofstream(file.path, std::ios::binary | std::ios::trunc) << "gone";
  check_sample(read);
}

TEST_CASE("what is no file is refused by what it is", "[io][safetensors]") {
  for (const FileAccess access : {FileAccess::copied, FileAccess::mapped}) {
    const auto load = [&](const std::string& path) {
      const auto read = load_safetensors(path, {.access = access});
      REQUIRE_FALSE(read.has_value());
      has(read.error().detail, path);
      return read.error();
    };
    CHECK(load("/nowhere/at/all").status == Status::not_found);
    CHECK(load("").status == Status::not_found);
    CHECK(load(std::filesystem::temp_directory_path().string()).status == Status::data_loss);
    const File empty("");
    CHECK(load(empty.path).status == Status::data_loss);
    const File below(sample());
    CHECK_FALSE(load_safetensors(below.path + "/x", {.access = access}).has_value());
  }
}

TEST_CASE("a file cut anywhere is told from a whole one", "[io][safetensors]") {
  const std::string whole = sample();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    CHECK(refusal(cut).status == Status::data_loss);
    if (length % 16 != 0) continue;
    const File file(cut);
    for (const FileAccess access : {FileAccess::copied, FileAccess::mapped}) {
      CHECK(load_safetensors(file.path, {.access = access}).status() == Status::data_loss);
    }
  }
  has(refusal(whole + "x").detail, "1 bytes behind the last tensor belong to none");
}

TEST_CASE("a length beyond the file, or the format, is refused", "[io][safetensors]") {
  std::string file = sample();
  const auto with_length = [&](std::uint64_t length) {
    for (unsigned i = 0; i < 8; ++i) file[i] = static_cast<char>(length >> 8 * i & 0xffU);
    const galley::Error error = refusal(file);
    CHECK(error.status == Status::data_loss);
    return error.detail;
  };
  has(with_length(file.size() - 7), "the file ends after");
  has(with_length(100'000'000), "the header has 100000000 bytes, the file ends after");
  has(with_length(100'000'001), "at most 100000000 bytes, got 100000001");
  has(with_length(std::uint64_t{1} << 63U), "got 9223372036854775808");
  has(with_length(UINT64_MAX), "got 18446744073709551615");
  has(with_length(0), "not a JSON object");
}

TEST_CASE("what is wrong in a header is told with its tensor", "[io][safetensors]") {
  struct Line {
    std::string header;
    std::string says;
    Status status = Status::data_loss;
  };
  const std::string rest = R"("shape":[1],"data_offsets":[0,4])";
  const auto tensor = [](const std::string& members) { return R"({"x":{)" + members + "}}"; };
  const auto shaped = [&](const std::string& shape) {
    return tensor(R"("dtype":"F32","data_offsets":[0,4],"shape":)" + shape);
  };
  const auto at = [&](const std::string& offsets) {
    return tensor(R"("dtype":"F32","shape":[1],"data_offsets":)" + offsets);
  };
  const Line lines[] = {
      {"", "not a JSON object"},
      {" {}", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{", "not JSON at byte"},
      {"{} x", "not JSON at byte"},
      {"{}{}", "not JSON at byte"},
      {std::string("{}\0{", 4), "null byte"},
      {"{\"\xff\":{}}", "not JSON at byte"},
      {R"({"x":1})", "tensor \"x\": expected an object, got 1"},
      {R"({"x":[]})", "tensor \"x\": expected an object, got a list"},
      {R"({"x":null})", "expected an object, got null"},
      {R"({"x":{}})", "tensor \"x\": expected the members dtype, shape and data_offsets"},
      {tensor(rest), "expected the members"},
      {tensor(R"("dtype":"F32",)" + rest + R"(,"dtype":"F32")"), "two members dtype"},
      {tensor(R"("dtype":"F32","shape":[1],)" + rest), "two members shape"},
      {tensor(R"("dtype":3,)" + rest), "dtype: expected a text, got 3"},
      {tensor(R"("dtype":["F32"],)" + rest), "dtype: expected a text, got a list"},
      {tensor(R"("dtype":{},)" + rest), "dtype: expected a text, got an object"},
      {tensor(R"("dtype":"f32",)" + rest), "got \"f32\"", Status::unimplemented},
      {tensor(R"("dtype":"F8_E4M3",)" + rest),
       "tensor \"x\": dtype: expected one that galley has (F64, F32, F16, BF16, I64, I32, I16, I8, "
       "U8, BOOL), got \"F8_E4M3\"",
       Status::unimplemented},
      {tensor(R"("dtype":"U32",)" + rest), "got \"U32\"", Status::unimplemented},
      {shaped("1"), "shape: expected a list, got 1"},
      {shaped("\"1\""), "shape: expected a list, got \"1\""},
      {shaped("{}"), "shape: expected a list, got an object"},
      {shaped("[-1]"), "shape: expected integers from 0 to 2^63 - 1, got -1"},
      {shaped("[1.0]"), "got 1.0"},
      {shaped("[true]"), "got a boolean"},
      {shaped("[null]"), "got null"},
      {shaped("[[1]]"), "got a list"},
      {shaped("[\"1\"]"), "got \"1\""},
      {shaped("[9223372036854775808]"), "got 9223372036854775808"},
      {shaped("[18446744073709551616]"), "got 18446744073709551616"},
      {shaped("[9223372036854775807]"), "has more than 2^63 - 1 bytes"},
      {shaped("[4294967296,4294967296]"), "has more than 2^63 - 1 bytes"},
      {shaped("[4294967296,2147483648,0]"), "has more than 2^63 - 1 bytes"},
      {shaped("[1,1,1,1,1,1,1,1,1]"), "expected at most 8 extents", Status::unimplemented},
      {shaped("[2]"), "expected 8 bytes for float32 [2], got 4"},
      {shaped("[0]"), "expected 0 bytes for float32 [0], got 4"},
      {at("0"), "data_offsets: expected a list, got 0"},
      {at("[]"), "data_offsets: expected two integers of 0 or more, got fewer"},
      {at("[0]"), "got fewer"},
      {at("[0,4,4]"), "got more"},
      {at("[0,4.0]"), "got 4.0"},
      {at("[-4,0]"), "got -4"},
      {at("[4,0]"), "[4, 0] are not within the 4 bytes that there are"},
      {at("[0,5]"), "[0, 5] are not within the 4 bytes"},
      {at("[1,5]"), "[1, 5] are not within the 4 bytes"},
      {at("[9223372036854775808,9223372036854775812]"), "are not within the 4 bytes"},
      {at("[18446744073709551612,18446744073709551615]"), "are not within the 4 bytes"},
      {at("[18446744073709551615,3]"), "are not within the 4 bytes"},
      {at("[0,18446744073709551620]"), "got 18446744073709551620"},
      {at("[0,3]"), "expected 4 bytes for float32 [1], got 3"},
      {R"({"__metadata__":3})", "__metadata__: expected an object, got 3"},
      {R"({"__metadata__":{"a":3}})", "__metadata__: expected texts, got 3"},
      {R"({"__metadata__":{"a":null}})", "__metadata__: expected texts, got null"},
      {R"({"__metadata__":{"a":[]}})", "__metadata__: expected texts, got a list"},
      {R"({"__metadata__":{"a":{}}})", "__metadata__: expected texts, got an object"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "__metadata__: two texts of one name"},
      {R"({"__metadata__":{},"__metadata__":{}})", "two __metadata__"},
  };
  for (const Line& line : lines) {
    INFO(line.header);
    const galley::Error error = refusal(safetensors_file(line.header, {"\0\0\0\0", 4}));
    INFO(error.detail);
    CHECK(error.status == line.status);
    has(error.detail, line.says);
  }
}

TEST_CASE("tensors that overlap, leave a gap or share a name are refused", "[io][safetensors]") {
  const auto says = [](const std::string& file) {
    const galley::Error error = refusal(file);
    CHECK(error.status == Status::data_loss);
    return error.detail;
  };
  const auto entry = bytes_at;
  has(says(placed({{"a", entry(0, 4)}, {"b", entry(2, 6)}}, 6)), "\"b\" overlaps");
  has(says(placed({{"a", entry(0, 4)}, {"b", entry(0, 4)}}, 4)), "\"b\" overlaps");
  has(says(placed({{"b", entry(1, 2)}, {"a", entry(0, 4)}}, 4)), "\"b\" overlaps");
  has(says(placed({{"a", entry(0, 4)}, {"none", entry(2, 2)}}, 4)), "\"none\" overlaps");
  has(says(placed({{"a", entry(0, 2)}, {"b", entry(3, 6)}}, 6)),
      "1 bytes before tensor \"b\" belong to none");
  has(says(placed({{"a", entry(1, 6)}}, 6)), "1 bytes before tensor \"a\"");
  has(says(placed({{"a", entry(0, 4)}}, 6)), "2 bytes behind the last tensor");
  has(says(placed({{"a", entry(0, 2)}, {"b", entry(2, 4)}, {"a", entry(4, 6)}}, 6)),
      "two tensors are named \"a\"");
}

TEST_CASE("members of an entry that the format does not have are passed over",
          "[io][safetensors]") {
  const std::string file = safetensors_file(
      R"({"x":{"more":{"dtype":[{"shape":1},null]},"dtype":"U8","also":[[],{"a":{}}],"n":1.5,)"
      R"("shape":[1],"t":"text","data_offsets":[0,1],"b":true}})",
      "\x07");
  CHECK(values<std::uint8_t>(*safetensors_from_bytes(as_bytes(file)), "x") ==
        std::vector<std::uint8_t>{7});
}

TEST_CASE("bools of other bytes than 0 and 1 are refused", "[io][safetensors]") {
  const std::string file =
      SafetensorsWriter().tensor<std::uint8_t>("mask", "BOOL", "2", {1, 2}).file();
  const galley::Error error = refusal(file);
  CHECK(error.status == Status::data_loss);
  has(error.detail, "tensor \"mask\": expected bools");
}

TEST_CASE("a file with any one byte changed harms nothing", "[io][safetensors]") {
  const std::string whole = sample();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned flip : {0x01U, 0x04U, 0x20U, 0x80U, 0xffU}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ flip);
      const auto read = safetensors_from_bytes(as_bytes(changed));
      if (!read.has_value()) {
        CHECK_FALSE(read.error().detail.empty());
        continue;
      }
      std::size_t bytes = 0;
      for (const auto& named : read->tensors) bytes += named.tensor.byte_size();
      CHECK(bytes == 20);
    }
  }
}
