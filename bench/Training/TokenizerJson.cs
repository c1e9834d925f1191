using System.Text.Json.Nodes;

namespace LlamaServe.Bench.Training;

/// <summary>A vocabulary as the <c>tokenizer.json</c> of the Hugging Face tokenizers library.</summary>
internal static class TokenizerJson
{
    public static JsonObject Create(BytePairVocabulary vocabulary) => new()
    {
        ["version"] = "1.0",
        ["truncation"] = null,
        ["padding"] = null,
        ["added_tokens"] = new JsonArray(
            AddedToken(vocabulary.BeginOfTextToken, BytePairVocabulary.BeginOfText),
            AddedToken(vocabulary.EndOfTextToken, BytePairVocabulary.EndOfText)),
        ["normalizer"] = null,
        ["pre_tokenizer"] = PreTokenizer(),
        ["post_processor"] = PostProcessor(vocabulary),
        ["decoder"] = ByteLevel(),
        ["model"] = Model(vocabulary),
    };

    private static JsonObject AddedToken(int id, string content) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };

    private static JsonObject PreTokenizer() => new()
    {
        ["type"] = "Sequence",
        ["pretokenizers"] = new JsonArray(
            new JsonObject
            {
                ["type"] = "Split",
                ["pattern"] = new JsonObject { ["Regex"] = BytePairVocabulary.SplitPattern },
                ["behavior"] = "Isolated",
                ["invert"] = false,
            },
            ByteLevel()),
    };

    private static JsonObject ByteLevel() => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = true,
        ["use_regex"] = false,
    };

    // Every text starts with begin-of-text.
    private static JsonObject PostProcessor(BytePairVocabulary vocabulary) => new()
    {
        ["type"] = "TemplateProcessing",
        ["single"] = new JsonArray(Special(), Sequence("A", 0)),
        ["pair"] = new JsonArray(Special(), Sequence("A", 0), Special(1), Sequence("B", 1)),
        ["special_tokens"] = new JsonObject
        {
            [BytePairVocabulary.BeginOfText] = new JsonObject
            {
                ["id"] = BytePairVocabulary.BeginOfText,
                ["ids"] = new JsonArray(vocabulary.BeginOfTextToken),
                ["tokens"] = new JsonArray(BytePairVocabulary.BeginOfText),
            },
        },
    };

    private static JsonObject Special(int type = 0) => new()
    {
        ["SpecialToken"] = new JsonObject { ["id"] = BytePairVocabulary.BeginOfText, ["type_id"] = type },
    };

    private static JsonObject Sequence(string id, int type) => new()
    {
        ["Sequence"] = new JsonObject { ["id"] = id, ["type_id"] = type },
    };

    private static JsonObject Model(BytePairVocabulary vocabulary)
    {
        string[] names = [.. vocabulary.Tokens.Select(bytes => ByteAlphabet.Render(bytes))];
        var ids = new JsonObject();
        for (int id = 0; id < names.Length; id++)
        {
            ids.Add(names[id], id);
        }
        return new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = null,
            ["continuing_subword_prefix"] = null,
            ["end_of_word_suffix"] = null,
            ["fuse_unk"] = false,
            ["byte_fallback"] = false,
            ["ignore_merges"] = false,
            ["vocab"] = ids,
            ["merges"] = new JsonArray([.. vocabulary.Merges.Select(pair => new JsonArray(names[pair.Left], names[pair.Right]))]),
        };
    }
}
