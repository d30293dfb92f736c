// torch_package: what is wrong with a file, a folder or a machine, and what is answered to it. The
// archives are put together here, byte by byte; none of them is a package that would run.
#include "models.hpp"
#include <support/has.hpp>

#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include <support/catch.hpp>

using galley::Status;

#if !GALLEY_TEST_LOADER

TEST_CASE("without a loader of packages, LibTorch's version is what is answered", "[torch]") {
  const auto served = galley::torch_package("any.pt2");
  REQUIRE(served.status() == Status::unimplemented);
  support::has(served.error().detail, "has no loader of AOTInductor packages");
}

#else

namespace {

namespace fs = std::filesystem;

struct Entry {
  std::string path;
  std::string content;
  std::uint16_t method = 0;  // not compressed
};

void put(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint32_t checksum(const std::string& bytes) {
  std::uint32_t sum = 0xFFFFFFFF;
  for (const char c : bytes) {
    sum ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~sum;
}

/// How an archive is spoiled.
struct Spoil {
  std::uint32_t size = 0;      // where not 0: what its list says of every file's size
  std::uint32_t checksum = 0;  // changes every checksum
  std::uint16_t more_files = 0;
};

std::string zip(const std::vector<Entry>& entries, Spoil spoil = {}) {
  std::string files;
  std::string list;
  for (const Entry& e : entries) {
    const std::size_t header = files.size();
    const auto size = static_cast<std::uint32_t>(e.content.size());
    std::string common;
    put(common, 20, 2);  // version
    put(common, 0, 2);   // flags
    put(common, e.method, 2);
    put(common, 0, 4);  // time
    put(common, checksum(e.content) ^ spoil.checksum, 4);
    put(common, spoil.size != 0 ? spoil.size : size, 4);
    put(common, spoil.size != 0 ? spoil.size : size, 4);
    put(common, e.path.size(), 2);
    put(common, 0, 2);  // extra
    files += "PK\x03\x04" + common + e.path + e.content;
    list += "PK\x01\x02";
    put(list, 20, 2);
    list += common;
    put(list, 0, 4);  // comment, disk …
    put(list, 0, 6);  // … and attributes
    put(list, header, 4);
    list += e.path;
  }
  std::string end = "PK\x05\x06";
  put(end, 0, 4);
  put(end, entries.size() + spoil.more_files, 2);
  put(end, entries.size() + spoil.more_files, 2);
  put(end, list.size(), 4);
  put(end, files.size(), 4);
  put(end, 0, 2);
  return files + list + end;
}

/// The head of an ELF file that has nothing in it: enough to be looked at, not to be loaded.
std::string empty_object() {
  std::string head =
      "\x7f"
      "ELF\x02\x01\x01";
  head.resize(64, '\0');
  head[54] = 56;  // bytes of a segment's entry
  return head;
}

std::string with(const std::string& key, const std::string& value) {
  return "{\"AOTI_DEVICE_KEY\": \"cpu\", \"" + key + "\": \"" + value + "\"}";
}

std::vector<Entry> parts(const std::string& metadata) {
  return {{"net/data/aotinductor/model/a.wrapper_metadata.json", metadata},
          {"net/data/aotinductor/model/a.wrapper.so", empty_object()},
          {"net/archive_format", "pt2"}};
}

/// An empty folder, removed at the end; another process that runs this has another.
struct Folder {
  Folder()
      : path(fs::temp_directory_path() /
             ("galley_package_files_test_" + std::to_string(std::random_device()()))) {
    fs::remove_all(path);
    fs::create_directories(path / "unpacked");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

/// What a package of this content is refused with; nothing of it may be left.
galley::Error refusal(const std::string& content, galley::PackageOptions options = {}) {
  const Folder folder;
  const fs::path file = folder.path / "net.pt2";
  std::ofstream(file, std::ios::binary) << content;
  options.unpack_in = (folder.path / "unpacked").string();
  const auto served = galley::torch_package(file.string(), std::move(options));
  REQUIRE_FALSE(served.has_value());
  INFO(served.error().detail);
  CHECK(fs::is_empty(folder.path / "unpacked"));
  CHECK(served.error().detail.find('\n') == std::string::npos);
  CHECK(served.error().detail.find("Exception raised") == std::string::npos);
  support::has(served.error().detail, "net.pt2\": ");
  return served.error();
}

void check(const galley::Error& error, Status status, const std::string& text) {
  CHECK(error.status == status);
  support::has(error.detail, text);
}

galley::PackageOptions of_two() {
  return {.inputs = {{"x", galley::f32, {2}}}, .batch = {1, 8}};
}

}  // namespace

TEST_CASE("what is no archive is refused", "[torch]") {
  const auto missing = galley::torch_package("/nowhere/at/all.pt2");
  REQUIRE(missing.status() == Status::not_found);
  support::has(missing.error().detail, "/nowhere/at/all.pt2");
  const std::string what = "no whole zip archive";
  check(refusal(""), Status::data_loss, what);
  check(refusal("this is no package\n"), Status::data_loss, what);
  check(refusal("PK\x03\x04"), Status::data_loss, what);
  const std::string whole = zip(parts("{}"));
  for (std::size_t kept = 0; kept < whole.size(); kept += 7) {
    check(refusal(whole.substr(0, kept)), Status::data_loss, what);
  }
}

TEST_CASE("an archive whose list of files is damaged is refused", "[torch]") {
  const std::vector<Entry> good = parts("{}");
  check(refusal(zip(good, {.size = 1U << 30U})), Status::data_loss, "lies beyond its end");
  check(refusal(zip(good, {.size = 0xFFFFFFFE})), Status::data_loss, "lies beyond its end");
  check(refusal(zip(good, {.more_files = 1})), Status::data_loss, "list of files is damaged");
  check(refusal(zip(good, {.more_files = 9999})), Status::data_loss, "list of files is damaged");
  check(refusal(zip(good, {.checksum = 1})), Status::data_loss, "its checksum is another");
  check(refusal(zip({good[0], good[1], good[1]})), Status::data_loss, "two files");
  for (const char* path : {"../out.so", "net/../../out.so", "/etc/out.so", "net//out.so", "a\\b",
                           "./net/out.so", "c:out"}) {
    check(refusal(zip({{path, "x"}, good[0]})), Status::data_loss, "a file with the path");
  }
  std::vector<Entry> packed = good;
  packed[1].method = 8;
  check(refusal(zip(packed)), Status::unimplemented, "is compressed");
}

TEST_CASE(
    "a bit of any byte of a package may be another, and nothing worse than an error comes of it",
    "[torch]") {
  const std::string whole = zip(parts("{\"AOTI_DEVICE_KEY\": \"tea\"}"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string other = whole;
    other[i] = static_cast<char>(other[i] ^ (1 << i % 8));
    const galley::Error error = refusal(other);
    const bool known = error.status == Status::data_loss || error.status == Status::unimplemented ||
                       error.status == Status::failed_precondition ||
                       error.status == Status::resource_exhausted;
    CHECK(known);
  }
}

TEST_CASE("an archive of something else is refused", "[torch]") {
  std::ostringstream script;
  models::mlp(4).save(script);
  check(refusal(script.str()), Status::data_loss, "no AOTInductor package");
  check(refusal(zip({{"readme.txt", "hello"}})), Status::data_loss, "no AOTInductor package");
  const std::vector<Entry> good = parts("{}");
  check(refusal(zip({good[0], good[1]}), {.model = "tea"}), Status::failed_precondition,
        "expected a model \"tea\" in the package, it has (model)");
  check(refusal(zip({good[0], {"net/data/aotinductor/model/a.wrapper.cpp", "int x;"}})),
        Status::unimplemented, "no shared object");
  check(refusal(zip({good[1], good[2]})), Status::data_loss, "wrapper_metadata.json");
}

TEST_CASE("a package of a damaged shared object is refused", "[torch]") {
  std::vector<Entry> bad = parts("{}");
  std::string sections = empty_object();
  sections[40] = 65;  // where the list of sections would begin: behind the end
  std::string segments = empty_object();
  segments[56] = 1;  // one segment, whose entry is behind the end
  segments[32] = 64;
  std::string longer = segments + std::string(56, '\0');
  longer[64 + 32] = 127;  // the segment's bytes, more than there are
  for (const std::string& object : {longer, std::string("not an object"), std::string(64, 'x'),
                                    empty_object().substr(0, 63), sections, segments}) {
    bad[1].content = object;
    check(refusal(zip(bad)), Status::data_loss, "shared object \"a.wrapper.so\" is damaged");
  }
}

TEST_CASE("a package that was made for something else is refused before it is loaded", "[torch]") {
  const auto made_for = [](const std::string& metadata, const std::string& what) {
    check(refusal(zip(parts(metadata)), of_two()), Status::unimplemented,
          "the package was made for " + what);
  };
  made_for("{\"AOTI_DEVICE_KEY\": \"cuda\"}", "the device cuda, expected cpu");
  made_for(with("AOTI_PLATFORM", "plan9"), "the platform plan9, expected ");
  made_for(with("AOTI_MACHINE", "riscv64"), "the machine riscv64, expected ");
  made_for(with("GALLEY_TORCH", "1.0.0+cpu"), "LibTorch 1.0.0+cpu, expected ");
#if defined(__x86_64__)
  // No processor has all of these: three lines of them were given up.
  made_for(with("AOTI_CPU_ISA", "AVX512 AVX512_4FMAPS FMA4"), "the instruction set AVX512");
  made_for(with("GALLEY_CPU", "avx fma4 avx512_4vnniw amx_fp16"), "the instruction set avx fma4");
#endif
  galley::PackageOptions other = of_two();
  other.device = galley::Device("cuda", 0);
  check(refusal(zip(parts(with("AOTI_PLATFORM", "linux"))), std::move(other)),
        Status::unimplemented, "the package was made for the device cpu, expected cuda:0");
}

TEST_CASE("a package that does not say enough is refused by what is missing", "[torch]") {
  const std::string cpu = with("AOTI_COMPUTE_CAPABILITY", "");
  check(refusal(zip(parts(cpu))), Status::failed_precondition, "its batch sizes are not known");
  check(refusal(zip(parts("not json"))), Status::data_loss, "metadata cannot be read");
  check(refusal(zip(parts("{\"AOTI_DEVICE_KEY\": 3}"))), Status::data_loss,
        "metadata cannot be read");
  check(refusal(zip(parts("{}"))), Status::unimplemented, "made for the device");
  for (const char* batch : {"1", "0 4", "4 2", "1 x", "1 2 3", "-1 2", "1 99999999999999999999"}) {
    check(refusal(zip(parts(with("GALLEY_BATCH", batch)))), Status::data_loss, "GALLEY_BATCH");
  }
  for (const char* inputs : {"float32", "float32 [2]", "tea [2] x", "float32 [a] x",
                             "float32 [-2] x", "float32 [1, 1, 1, 1, 1, 1, 1, 1, 1] x"}) {
    check(refusal(zip(parts(with("GALLEY_INPUTS", inputs)))), Status::data_loss, "GALLEY_INPUTS");
  }
}

TEST_CASE("a shared object that is none is refused by the system's loader", "[torch]") {
  check(refusal(zip(parts(with("GALLEY_BATCH", "1 8"))), of_two()), Status::failed_precondition,
        "it cannot be loaded by LibTorch");
}

TEST_CASE("a folder that holds no package is refused, and left as it is", "[torch]") {
  const Folder folder;
  check(galley::torch_package(folder.path.string()).error(), Status::data_loss,
        "no AOTInductor package");
  const fs::path model = folder.path / "data" / "aotinductor" / "model";
  fs::create_directories(model);
  check(galley::torch_package(folder.path.string()).error(), Status::unimplemented,
        "no shared object");
  std::ofstream(model / "a.so") << "x";
  check(galley::torch_package(folder.path.string()).error(), Status::data_loss, "is damaged");
  CHECK(fs::exists(model / "a.so"));
}

#endif
