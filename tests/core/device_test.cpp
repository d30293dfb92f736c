#include <galley/core/device.hpp>

#include <string>
#include <type_traits>

#include <support/catch.hpp>

using galley::Device;
using galley::Status;

TEST_CASE("a device is a small trivial value and host memory by default", "[device]") {
  STATIC_REQUIRE(std::is_trivially_copyable_v<Device>);
  STATIC_REQUIRE(sizeof(Device) <= 2 * sizeof(void*));
  STATIC_REQUIRE(Device().is_cpu());
  STATIC_REQUIRE(Device() == galley::cpu);
  CHECK(to_string(galley::cpu) == "cpu");
}

TEST_CASE("a kind that nobody registered is a device", "[device]") {
  const Device fake("fakechip", 2);
  CHECK(fake.kind() == "fakechip");
  CHECK(fake.index() == 2);
  CHECK(to_string(fake) == "fakechip:2");
  CHECK_FALSE(fake.is_cpu());
  CHECK(fake == Device("fakechip", 2));
  CHECK_FALSE(fake == Device("fakechip", 3));
  CHECK_FALSE(fake == Device("fakechi", 2));
}

TEST_CASE("a kind of more than eight characters does not compile", "[device]") {
  STATIC_REQUIRE(std::is_constructible_v<Device, const char(&)[9]>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Device, const char(&)[10]>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Device, const char(&)[1]>);
}

TEST_CASE("a device is parsed from its text and prints it again", "[device]") {
  for (const char* text : {"cpu", "cuda", "cuda:0", "cuda:15", "fakechip:32767", "x_1:7"}) {
    INFO(text);
    const auto device = Device::parse(text);
    REQUIRE(device.has_value());
    CHECK(to_string(*device) == text);
  }
  CHECK(*Device::parse("cuda:0") == Device("cuda", 0));
  CHECK(*Device::parse("cpu") == galley::cpu);
}

TEST_CASE("a text that is no device is refused and quoted", "[device]") {
  for (const char* text : {"", ":", ":0", "cuda:", "cuda:x", "cuda:-1", "cuda:32768", "cuda:0:1",
                           "cuda:100000000000", "CUDA", "cu da", "fakechips", "cuda: 0"}) {
    INFO(text);
    const auto device = Device::parse(text);
    REQUIRE_FALSE(device.has_value());
    CHECK(device.status() == Status::invalid_argument);
    CHECK(device.error().detail.find('"' + std::string(text) + '"') != std::string::npos);
  }
}

TEST_CASE("a pattern without an index matches all of its kind", "[device]") {
  const Device second("cuda", 1);
  CHECK(second.matches(Device("cuda")));
  CHECK(second.matches(Device("cuda", 1)));
  CHECK_FALSE(second.matches(Device("cuda", 0)));
  CHECK_FALSE(second.matches(galley::cpu));
  CHECK_FALSE(Device("cuda").matches(second));
}
