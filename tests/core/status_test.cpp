#include <galley/core/status.hpp>
#include <galley/core/type_name.hpp>

#include <string>

#include <support/catch.hpp>

using galley::Error;
using galley::Status;

TEST_CASE("every status has its enumerator's name", "[status]") {
  CHECK(to_string(Status::ok) == "ok");
  CHECK(to_string(Status::cancelled) == "cancelled");
  CHECK(to_string(Status::invalid_argument) == "invalid_argument");
  CHECK(to_string(Status::deadline_exceeded) == "deadline_exceeded");
  CHECK(to_string(Status::not_found) == "not_found");
  CHECK(to_string(Status::already_exists) == "already_exists");
  CHECK(to_string(Status::resource_exhausted) == "resource_exhausted");
  CHECK(to_string(Status::failed_precondition) == "failed_precondition");
  CHECK(to_string(Status::unavailable) == "unavailable");
  CHECK(to_string(Status::data_loss) == "data_loss");
  CHECK(to_string(Status::unimplemented) == "unimplemented");
  CHECK(to_string(Status::internal) == "internal");
  CHECK(to_string(static_cast<Status>(200)) == "unknown");
}

TEST_CASE("an error never says ok", "[status]") {
  CHECK(Error().status == Status::internal);
  CHECK(Error(Status::ok, "fine").status == Status::internal);
  CHECK(Error(Status::ok, "fine").detail == "fine");
  CHECK(Error(Status::not_found).status == Status::not_found);
}

TEST_CASE("an error's text is its status and its detail", "[status]") {
  CHECK(to_string(Error(Status::not_found)) == "not_found");
  CHECK(to_string(Error(Status::not_found, "a.pt")) == "not_found: a.pt");
}

TEST_CASE("within says where an error happened", "[status]") {
  const Error inner(Status::internal, "threw: boom");
  CHECK(within("decode", inner) == Error(Status::internal, "decode: threw: boom"));
  CHECK(within("decode", Error(Status::cancelled)) == Error(Status::cancelled, "decode"));
}

namespace elsewhere {
struct Point {};
template <class T>
struct Box {};
}  // namespace elsewhere

TEST_CASE("a type's name is readable", "[type_name]") {
  CHECK(galley::type_name<float>() == "float");
  CHECK(galley::type_name<elsewhere::Point>() == "elsewhere::Point");
  CHECK(galley::type_name<elsewhere::Box<int>>() == "elsewhere::Box<int>");
  CHECK(galley::type_name<const int*>().find("const int") == 0);
  CHECK(galley::type_name<int[4]>().find("[4]") != std::string_view::npos);
}

TEST_CASE("a type's identity is equal for equal types only", "[type_name]") {
  CHECK(galley::type_id<int>() == galley::type_id<int>());
  CHECK(galley::type_id<int>() != galley::type_id<unsigned>());
  CHECK(galley::type_id<int>() != galley::type_id<const int>());
}
