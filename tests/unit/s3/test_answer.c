/* test_answer.c - refusals as stores of all kinds word them, and what each means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "s3/answer.h"

static void words_are_found_however_they_are_written(void **state) {
  (void)state;
  static const struct {
    const char *document, *code, *message, *region;
  } cases[] = {
      {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>No."
       "</Message><RequestId>x</RequestId></Error>",
       "AccessDenied", "No.", ""},
      {"\xef\xbb\xbf \n<ErrorResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n  "
       "<Error>\n"
       "    <Code>\n      ExpiredToken\n    </Code>\n  </Error></ErrorResponse>",
       "ExpiredToken", "", ""},
      {"<s3:Error xmlns:s3=\"urn:x\"><s3:Code a=\"<\">QuotaExceeded</s3:Code >", "QuotaExceeded",
       "", ""},
      {"<Error><Code><![CDATA[KMS.Disabled]]></Code><Message>a &lt;b&gt; &amp; &#x63;&#100; "
       "&unknown;</Message></Error>",
       "KMS.Disabled", "a <b> & cd &unknown;", ""},
      {"<Error><!-- <Code>Not</Code> --><Code/><Code>This</Code></Error>", "This", "", ""},
      {"<error><code>lower</code><message>\ttwo\r\n lines\x01\xc3\xa9 </message></error>", "lower",
       "two lines???", ""},
      {"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
       "AuthorizationHeaderMalformed", "", "eu-west-1"},
      {"<Error><CodeName>x</CodeName><Message>only words</Message></Error>", "", "only words", ""},
      {"{\"error\": {\"Code\": \"Throttled\", \"message\": \"slow, \\\"please\\\"\"}}", "Throttled",
       "slow, \"please\"", ""},
      {"{\"code\":507,\"message\":\"full\"}", "507", "full", ""},
      {"<html><head><title>403 Forbidden</title></head><body>nginx</body></html>", "",
       "403 Forbidden", ""},
      {"upstream connect error", "", "upstream connect error", ""},
      {"", "", "", ""},
      {"<Error><Code>cut off", "cut off", "", ""},
      {"<Error><Code", "", "", ""},
      {"{\"code\"", "", "", ""},
      {"{\"code\": \"a\\", "a\\", "", ""},
      {"<!-- never closed <Code>x", "", "", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct s3_words words;
    s3_words_read(cases[i].document, &words);
    assert_string_equal(words.code, cases[i].code);
    assert_string_equal(words.message, cases[i].message);
    assert_string_equal(words.region, cases[i].region);
  }
}

static void long_words_are_cut(void **state) {
  (void)state;
  static char document[70000];
  static char filling[30001];
  memset(filling, 'w', sizeof filling - 1);
  snprintf(document, sizeof document, "<Error><Code>%s</Code><Message>%s", filling, filling);
  struct s3_words words;
  s3_words_read(document, &words);
  assert_int_equal(strlen(words.code), S3_CODE_BYTES_MAX - 1);
  assert_int_equal(strlen(words.message), S3_MESSAGE_BYTES_MAX - 1);
}

/* No refusal may read as final unless it is about what was asked for or our settings. */
static void each_refusal_has_its_meaning(void **state) {
  (void)state;
  static const struct {
    long http;
    const char *code;
    enum status meaning;
  } cases[] = {
      {403, "QuotaExceeded", EXHAUSTED},
      {403, "AccessDenied", EXHAUSTED},
      {403, "", EXHAUSTED},
      {401, "", EXHAUSTED},
      {400, "ExpiredToken", EXHAUSTED},
      {403, "InvalidToken", EXHAUSTED},
      {400, "KMS.DisabledException", EXHAUSTED},
      {400, "XMinioAdminBucketQuotaExceeded", EXHAUSTED},
      {403, "InvalidObjectState", EXHAUSTED},
      {405, "MethodNotAllowed", EXHAUSTED},
      {413, "EntityTooLarge", EXHAUSTED},
      {301, "PermanentRedirect", EXHAUSTED},
      {307, "TemporaryRedirect", EXHAUSTED},
      {507, "XMinioStorageFull", EXHAUSTED},
      {501, "NotImplemented", EXHAUSTED},
      {403, "RequestTimeTooSkewed", UNAVAILABLE},
      {400, "RequestTimeout", UNAVAILABLE},
      {400, "BadDigest", UNAVAILABLE},
      {409, "", UNAVAILABLE},
      {429, "", UNAVAILABLE},
      {503, "SlowDown", UNAVAILABLE},
      {400, "ThrottlingException", UNAVAILABLE},
      {500, "", UNAVAILABLE},
      {599, "Whatever", UNAVAILABLE},
      {404, "NoSuchKey", BAD_INPUT},
      {404, "", BAD_INPUT},
      {404, "NoSuchBucket", BAD_INPUT},
      {403, "InvalidAccessKeyId", BAD_INPUT},
      {403, "SignatureDoesNotMatch", BAD_INPUT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(s3_refusal(cases[i].http, cases[i].code), cases[i].meaning);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_found_however_they_are_written),
      cmocka_unit_test(long_words_are_cut),
      cmocka_unit_test(each_refusal_has_its_meaning),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
