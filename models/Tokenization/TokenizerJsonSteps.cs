using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Turns tokenizer.json's normalizer and pre_tokenizer into steps.</summary>
internal static class TokenizerJsonSteps
{
    private const int MaxSteps = 32;

    public static List<EncodingStep> Normalizer(CheckpointJson json)
    {
        List<EncodingStep> steps = [];
        foreach (CheckpointJson part in Flatten(json, "normalizers"))
        {
            steps.Add(part.Get("type").Text() switch
            {
                "NFC" => new NfcStep(),
                "Prepend" => new PrependStep(part.Get("prepend").Text(), unlessPresent: false, onlyAtStart: false),
                "Replace" => Replace(part),
                string type => throw part.Get("type").Error($"is {CheckpointException.Quote(type)}; supported are NFC, Prepend, Replace and Sequence"),
            });
        }
        return steps;
    }

    /// <param name="byteLevel">The text goes on as bytes.</param>
    public static List<EncodingStep> PreTokenizer(string fileName, CheckpointJson json, out bool byteLevel)
    {
        List<EncodingStep> steps = [];
        byteLevel = false;
        foreach (CheckpointJson part in Flatten(json, "pretokenizers"))
        {
            switch (part.Get("type").Text())
            {
                case "Split":
                    steps.Add(Split(fileName, part));
                    break;
                case "Digits":
                    string digits = Flag(part, "individual_digits", absent: false) ? @"\p{N}" : @"\p{N}+";
                    steps.Add(new SplitStep(SplitPattern.Parse(fileName, digits)));
                    break;
                case "ByteLevel":
                    byteLevel = true;
                    ByteLevel(fileName, part, steps);
                    break;
                case "Metaspace":
                    Metaspace(fileName, part, steps);
                    break;
                case string type:
                    throw part.Get("type").Error(
                        $"is {CheckpointException.Quote(type)}; supported are Split, Digits, ByteLevel, Metaspace and Sequence");
            }
        }
        return steps;
    }

    private static List<CheckpointJson> Flatten(CheckpointJson json, string listName)
    {
        List<CheckpointJson> parts = json.IsNull ? [] : json.Get("type").Text() == "Sequence" ? [.. json.Get(listName).Items().Take(MaxSteps + 1)] : [json];
        return parts.Count <= MaxSteps ? parts : throw json.Error("has too many parts");
    }

    private static ReplaceStep Replace(CheckpointJson json)
    {
        CheckpointJson pattern = json.Get("pattern").Get("String");
        return pattern.Text().Length > 0
            ? new ReplaceStep(pattern.Text(), json.Get("content").Text())
            : throw pattern.Error("is empty");
    }

    private static SplitStep Split(string fileName, CheckpointJson json)
    {
        CheckpointJson pattern = json.Get("pattern").Get("Regex");
        string behavior = json.Get("behavior").Text();
        bool invert = Flag(json, "invert", absent: false);
        bool dropGaps = behavior == "Removed" && invert;
        return dropGaps || behavior == "Isolated"
            ? new SplitStep(SplitPattern.Parse(fileName, pattern.Text()), dropGaps)
            : throw json.Get("behavior").Error($"is {CheckpointException.Quote(behavior)} with invert {(invert ? "on" : "off")}, which is not supported");
    }

    private static void ByteLevel(string fileName, CheckpointJson json, List<EncodingStep> steps)
    {
        if (Flag(json, "add_prefix_space", absent: true))
        {
            steps.Add(new PrependStep(" ", unlessPresent: true, onlyAtStart: false));
        }
        if (Flag(json, "use_regex", absent: true))
        {
            steps.Add(new SplitStep(SplitPattern.Parse(fileName, PreTokenizerPatterns.Gpt2)));
        }
    }

    private static void Metaspace(string fileName, CheckpointJson json, List<EncodingStep> steps)
    {
        string mark = json.Get("replacement").Text();
        string scheme = json.Find("prepend_scheme") is { IsNull: false } given ? given.Text() : Flag(json, "add_prefix_space", absent: true) ? "always" : "never";
        if (mark != TokenText.LowerOneEighthBlock || scheme is not ("always" or "first" or "never"))
        {
            throw json.Get("type").Error("is a Metaspace with a replacement or prepend_scheme that is not supported");
        }
        steps.Add(new ReplaceStep(" ", mark));
        if (scheme != "never")
        {
            steps.Add(new PrependStep(mark, unlessPresent: true, onlyAtStart: scheme == "first"));
        }
        if (Flag(json, "split", absent: true))
        {
            steps.Add(new SplitStep(SplitPattern.Parse(fileName, $"{mark}[^{mark}]*")));
        }
    }

    private static bool Flag(CheckpointJson json, string name, bool absent) => json.Find(name) is { IsNull: false } flag ? flag.Boolean() : absent;
}
