using System.Text.RegularExpressions;

namespace LlamaServe.Bench.Training;

/// <summary>
/// A text of tales, one paragraph a line, cut into tales, with the ends of some tales held out for evaluation.
/// </summary>
/// <param name="Training">Tales, paragraphs separated by one empty line.</param>
/// <param name="HeldOut">Endings that are in no training tale.</param>
internal sealed partial record TaleCorpus(IReadOnlyList<string> Training, IReadOnlyList<string> HeldOut)
{
    private const string ParagraphBreak = "\n\n";

    /// <summary>Every fourth tale loses its last eighth: about 3 % of the text.</summary>
    private const int HoldOutEvery = 4, HoldOutDivisor = 8;

    /// <exception cref="InvalidDataException">The text has too few tales to hold anything out.</exception>
    public static TaleCorpus Load(string path) => Split(File.ReadLines(path));

    public static TaleCorpus Split(IEnumerable<string> lines)
    {
        List<string> training = [], heldOut = [];
        int index = 0;
        foreach (List<string> tale in Tales(lines))
        {
            int held = ++index % HoldOutEvery == 0 ? tale.Count / HoldOutDivisor : 0;
            training.Add(string.Join(ParagraphBreak, tale[..^held]));
            if (held > 0)
            {
                heldOut.Add(string.Join(ParagraphBreak, tale[^held..]));
            }
        }
        return heldOut.Count > 0
            ? new TaleCorpus(training, heldOut)
            : throw new InvalidDataException("The text has no tale long enough to hold its end out for evaluation.");
    }

    // The file has no titles: a tale starts after an empty line, or where an unquoted paragraph opens as tales do.
    private static IEnumerable<List<string>> Tales(IEnumerable<string> lines)
    {
        List<string> tale = [];
        foreach (string line in lines.Select(line => line.Trim()))
        {
            bool starts = line.Length == 0 || (Opening().IsMatch(line) && tale.Count > 0 && !tale[^1].EndsWith(':'));
            if (starts && tale.Count > 0)
            {
                yield return tale;
                tale = [];
            }
            if (line.Length > 0)
            {
                tale.Add(line);
            }
        }
        if (tale.Count > 0)
        {
            yield return tale;
        }
    }

    [GeneratedRegex(
        "^(Once upon a time|Once on a time|Once there|There (was|were) once|There once|There lived|Long,? (long )?ago|" +
        "A (very )?long (time|while) ago|(Many|Some|Hundreds of) years ago|In (the|those) (old|olden|good) (days|times))",
        RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Opening();
}
