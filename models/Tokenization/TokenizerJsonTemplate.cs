using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Finds which special tokens go before and after a text: tokenizer.json's template, unless tokenizer_config.json names
/// a class that goes by add_bos_token and add_eos_token and gives them; without a template, those two alone.
/// </summary>
internal static class TokenizerJsonTemplate
{
    private const int MaxSpecialTokens = 64;

    public static (int[] Prefix, int[] Suffix) Read(CheckpointJson json, Vocabulary vocabulary, TokenizerConfig config)
    {
        (int[] Prefix, int[] Suffix)? template = null;
        foreach (CheckpointJson part in Flatten(json))
        {
            switch (part.Get("type").Text())
            {
                case "TemplateProcessing":
                    template = ReadSingle(part, vocabulary);
                    break;
                case "ByteLevel":
                    break;
                case string type:
                    throw part.Get("type").Error($"is {CheckpointException.Quote(type)}; supported are TemplateProcessing, ByteLevel and Sequence");
            }
        }
        (int[] prefix, int[] suffix) = template ?? ([], []);
        bool configDecides = template is null || config.OverridesTemplate;
        return (
            configDecides && config.AddBos is { } addBos ? addBos ? IdOf(config.Bos, vocabulary) : [] : prefix,
            configDecides && config.AddEos is { } addEos ? addEos ? IdOf(config.Eos, vocabulary) : [] : suffix);
    }

    private static List<CheckpointJson> Flatten(CheckpointJson json) =>
        json.IsNull ? [] : json.Get("type").Text() == "Sequence" ? [.. json.Get("processors").Items().Take(MaxSpecialTokens)] : [json];

    private static (int[] Prefix, int[] Suffix) ReadSingle(CheckpointJson json, Vocabulary vocabulary)
    {
        List<int> prefix = [];
        List<int> suffix = [];
        bool afterText = false;
        foreach (CheckpointJson item in json.Get("single").Items())
        {
            if (!item.Find("Sequence").IsNull)
            {
                afterText = afterText ? throw json.Error("repeats the text") : true;
                continue;
            }
            string name = item.Get("SpecialToken").Get("id").Text();
            CheckpointJson ids = json.Get("special_tokens").Get(name).Get("ids");
            (afterText ? suffix : prefix).AddRange(ids.Items().Take(MaxSpecialTokens).Select(id => InVocabulary(id, vocabulary)));
            if (prefix.Count + suffix.Count > MaxSpecialTokens)
            {
                throw json.Error("adds too many special tokens");
            }
        }
        return afterText ? ([.. prefix], [.. suffix]) : throw json.Error("has no place for the text");
    }

    private static int InVocabulary(CheckpointJson json, Vocabulary vocabulary) => json.Integer() is var id && id >= 0 && id < vocabulary.Size
        ? (int)id
        : throw json.Error("is outside the vocabulary");

    private static int[] IdOf(string? token, Vocabulary vocabulary) =>
        token is not null && vocabulary.Find(token) is var id and >= 0 ? [id] : [];
}
