"""The functions that a statement may call and still count as a read: built in, and without side effects.

A function that is not listed may do anything, since databases let their users write functions. Files, locks,
sessions, sequences, settings and sleeping are left out on purpose.
"""

_COMMON = """
    abs acos asin atan atan2 avg cast ceil ceiling char_length character_length coalesce concat concat_ws convert
    cos cot count cume_dist current_date current_time current_timestamp current_user date datediff degrees
    dense_rank exp extract first_value floor greatest group_concat grouping hex if iff ifnull iif instr lag
    last_value lead least left length ln localtime localtimestamp log log10 log2 lower lpad ltrim max md5 min mod
    month now nth_value ntile nullif octet_length percent_rank pi position pow power quarter quote radians rand
    random rank regexp_replace repeat replace reverse right round row_number rpad rtrim session_user sha1 sha2
    sign sin sqrt stddev stddev_pop stddev_samp strftime substr substring sum tan time timestamp to_char to_date
    trim trunc unhex upper user var_pop var_samp variance week xor year day hour minute second
    json_array json_object json_extract json_valid json_type json_array_length json_quote
"""

_SQLITE = """
    acosh asinh atanh bm25 changes char cosh date datetime format fts5_get_locale glob group_concat hex highlight
    iif instr json json_array_insert json_each json_error_position json_extract json_group_array json_group_object
    json_insert json_patch json_pretty json_remove json_replace json_set json_tree jsonb jsonb_array jsonb_each
    jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove
    jsonb_replace jsonb_set jsonb_tree julianday last_insert_rowid like likelihood likely max median min
    percentile printf random randomblob sinh snippet soundex sqlite_source_id sqlite_version string_agg subtype
    tanh time timediff total total_changes typeof unicode unistr unixepoch unlikely zeroblob generate_series
    pragma_table_info pragma_table_xinfo pragma_table_list pragma_index_list pragma_index_info
    match matchinfo offsets sqlite_compileoption_get sqlite_compileoption_used
    pragma_index_xinfo pragma_foreign_key_list pragma_database_list pragma_collation_list pragma_function_list
"""

_POSTGRES = """
    age any_value array_agg array_append array_cat array_dims array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii
    bit_and bit_length bit_or bit_xor bool_and bool_or btrim cardinality cbrt chr clock_timestamp corr covar_pop
    covar_samp current_catalog current_database current_query current_role current_schema current_schemas
    date_bin date_part date_trunc decode div encode every factorial format format_type gcd gen_random_uuid
    generate_series generate_subscripts get_bit get_byte inet_merge initcap isempty isfinite
    json_agg json_array_elements json_array_elements_text json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object_agg json_object_keys json_strip_nulls
    json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_exists
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty
    jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours
    justify_interval lcm lower_inc make_date make_interval make_time make_timestamp make_timestamptz mode
    multirange num_nonnulls num_nulls numrange int4range int8range daterange tsrange tstzrange obj_description
    col_description overlay parse_ident percentile_cont percentile_disc pg_column_size pg_database_size
    pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_serial_sequence
    pg_get_triggerdef pg_get_viewdef pg_indexes_size pg_relation_size pg_size_pretty pg_table_is_visible
    pg_table_size pg_total_relation_size pg_typeof plainto_tsquery phraseto_tsquery websearch_to_tsquery
    quote_ident quote_literal quote_nullable random_normal range_agg range_intersect_agg regexp_count
    regexp_instr regexp_like regexp_match regexp_matches regexp_split_to_array regexp_split_to_table regexp_substr
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope row row_to_json scale set_bit sha224 sha256
    sha384 sha512 shobj_description similarity sinh cosh tanh split_part starts_with statement_timestamp
    string_agg string_to_array string_to_table strpos timeofday to_ascii to_hex to_json to_jsonb to_number
    to_regclass to_timestamp to_tsquery to_tsvector transaction_timestamp translate ts_headline ts_rank
    ts_rank_cd txid_current_if_assigned unistr unnest upper_inc version width_bucket word_similarity
    acosd acosh area array_fill array_to_tsvector asind asinh atan2d atand atanh bit_count box center circle
    convert_from convert_to cosd cotd datemultirange diameter enum_first enum_last enum_range family height host
    hostmask int4multirange int8multirange is_normalized isclosed isopen json_populate_record
    json_populate_recordset json_to_tsvector jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz
    jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_set_lax
    jsonb_to_tsvector line lower_inf lseg masklen min_scale netmask network normalize npoints numnode nummultirange
    overlaps pg_backend_pid pg_client_encoding pg_postmaster_start_time pg_size_bytes point polygon radius
    range_merge regr_sxx regr_sxy regr_syy set_byte set_masklen setweight sind slope strip tand text timezone
    to_regnamespace to_regproc to_regprocedure to_regtype trim_array trim_scale ts_debug ts_delete ts_filter
    ts_lexize ts_parse tsmultirange tsquery_phrase tstzmultirange tsvector_to_array upper_inf width xml_is_well_formed
    xmlagg xmlcomment xmlconcat xmlelement xmlexists xmlforest xpath xpath_exists
    has_table_privilege has_schema_privilege has_column_privilege has_database_privilege
"""

_MYSQL = """
    adddate addtime any_value ascii bin bit_and bit_count bit_length bit_or bit_xor char charset coercibility
    collation column_get column_json compress connection_id conv convert_tz crc32 curdate current_role curtime
    database date_add date_format date_sub dayname dayofmonth dayofweek dayofyear elt export_set field
    find_in_set format found_rows from_base64 from_days from_unixtime get_format grouping inet6_aton inet6_ntoa
    inet_aton inet_ntoa is_ipv4 is_ipv6 isnull json_arrayagg json_compact json_contains json_contains_path
    json_depth json_detailed json_exists json_insert json_keys json_length json_loose json_merge_patch
    json_merge_preserve json_objectagg json_overlaps json_pretty json_query json_remove json_replace json_search
    json_set json_table json_unquote json_value last_day lcase locate make_set makedate maketime match against
    median microsecond mid monthname natural_sort_key oct ord percentile_cont percentile_disc period_add
    period_diff regexp_instr regexp_like regexp_substr row_count schema sec_to_time sformat sha soundex space
    st_area st_asgeojson st_astext st_distance st_within std str_to_date strcmp subdate substring_index subtime
    sysdate system_user time_format time_to_sec timediff timestampadd timestampdiff to_base64 to_days to_seconds
    truncate ucase uncompress unix_timestamp utc_date utc_time utc_timestamp uuid uuid_short values version
    add_months aes_decrypt aes_encrypt chr column_exists column_list crc32c decode encode extractvalue
    is_ipv4_compat is_ipv4_mapped json_array_append json_array_insert json_equals json_merge json_normalize lengthb
    random_bytes sys_guid uncompressed_length updatexml
    weekday weekofyear weight_string yearweek isnull nvl nvl2 point
"""

PURE: dict[str, frozenset[str]] = {
    "sqlite": frozenset((_COMMON + _SQLITE).split()),
    "postgres": frozenset((_COMMON + _POSTGRES).split()),
    "mysql": frozenset((_COMMON + _MYSQL).split()),
}

# Words that stand before a bracket and are no functions; a function of such a name would have to be quoted.
_SYNTAX = """
    all and any array as between bigint binary bit by case char character conflict cross cube datetime decimal
    distinct div double else end escape except exists filter float for force from full glob group having ignore in
    index inner int integer intersect interval is join key lateral left like ilike limit materialized natural
    not numeric offset on only or order outer over partition precision range recursive regexp right rlike rollup
    rows select sets similar smallint some straight_join table then time timestamp timestamptz to union unique
    use using values varbinary varchar varying when where window with within xor
"""
SYNTAX = frozenset(_SYNTAX.split())
